/** Messages that could not be processed, and a way to take up again what they were about. */

import { useState } from "preact/hooks";
import { ask } from "../api";
import { bytes, count, plural, shortId, words } from "../format";
import { usePolled } from "../polling";
import { go, href } from "../routes";
import type { Poison } from "../types";
import { Confirm, Empty, ErrorNote, Loading, When } from "../ui/parts";

type Message = Poison["newest"][number];

export function PoisonView() {
  const found = usePolled("poison", (signal) => ask<Poison>("monitor/poison?limit=200", { signal }), { every: 5000 });
  const [asked, setAsked] = useState<Message>();
  const replay = async (message: Message) => {
    const done = await ask<{ job_id: string }>(`monitor/poison/${message.poison_id}/replay`, { method: "POST" });
    found.refresh();
    go(["jobs", done.job_id]);
  };
  return (
    <>
      <div class="heading">
        <h1>Poison messages</h1>
      </div>
      {found.error && <ErrorNote error={found.error} retry={found.refresh} />}
      {found.loading && <Loading what="messages" />}
      {found.value?.total === 0 && <Empty>None: every message that arrived could be processed.</Empty>}
      {found.value && found.value.total > 0 && (
        <>
          <p class="faint">
            {plural(found.value.total, "message")} recorded:{" "}
            {Object.entries(found.value.by_queue)
              .map(([queue, n]) => `${count(n)} of ${queue}`)
              .join(", ")}
            . The newest {count(found.value.newest.length)}:
          </p>
          <ul class="groups">
            {found.value.newest.map((message) => (
              <li key={message.poison_id}>
                <div class="group-count">
                  <b>{message.poison_id}</b>
                  <span>{words(message.action)}</span>
                </div>
                <div class="group-body">
                  <p class="group-error">{message.reason}</p>
                  <p class="faint">
                    {message.queue} · {bytes(message.bytes)} · delivered {plural(message.dequeue_count, "time")} ·{" "}
                    <When at={message.recorded_at} />
                    {message.job_id && (
                      <>
                        {" "}
                        · job <a href={href(["jobs", message.job_id])}>{shortId(message.job_id)}</a>
                        {message.stage !== null && `, stage ${message.stage}`}
                        {message.first !== null && `, tasks ${message.first}–${message.last}`}
                      </>
                    )}
                  </p>
                  <details>
                    <summary>The message</summary>
                    <pre class="json" tabIndex={0} aria-label="The message, its first thousand characters">
                      {message.raw}
                    </pre>
                  </details>
                </div>
                <div class="group-actions">
                  <button
                    type="button"
                    disabled={!message.job_id}
                    title={message.job_id ? undefined : "It names no job: there is nothing to take up again"}
                    onClick={() => setAsked(message)}
                  >
                    Replay
                  </button>
                </div>
              </li>
            ))}
          </ul>
        </>
      )}
      {asked && (
        <Confirm
          title={`Replay message ${asked.poison_id}?`}
          text="What it is about is taken up again: its message is sent anew where work still waits for it, and a job that ended by it is retried."
          action="Replay"
          run={() => replay(asked)}
          onClose={() => setAsked(undefined)}
        />
      )}
    </>
  );
}
