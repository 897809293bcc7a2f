/** What the tasks of a stage answered: as a table, and as downloads. */

import { useState } from "preact/hooks";
import { ask, download, query as queryOf } from "../api";
import { bytes } from "../format";
import { ENDED, type Json, type Outcomes } from "../types";
import { Badge, Empty, ErrorNote, Loading } from "../ui/parts";
import { Pager } from "../ui/pager";
import { usePages } from "../ui/paged";
import type { JobPart } from "./job";

const MOST_COLUMNS = 8;
/** What tells rows apart. */
const FIRST = ["name", "source", "status", "layer"];

export function ResultsView({ job, version, open }: JobPart) {
  const last = job.stages.filter((stage) => stage.task_count > 0).at(-1)?.stage;
  const [chosen, setChosen] = useState<number>();
  const stage = chosen ?? last;
  const path = `jobs/${job.job_id}/results`;
  const asked = { run: job.run, stage };
  const paged = usePages<Outcomes>(
    `${path}${queryOf({ ...asked, limit: 50 })}`,
    (page, signal) => ask(page, { signal }),
    (value) => value.links.next,
    ENDED.has(job.status) ? null : 4000,
    version,
  );
  const rows = paged.page.value?.results ?? [];
  const columns = columnsOf(rows.map((row) => row.result));
  return (
    <>
      <div class="filters inner">
        <label class="field">
          <span>Stage</span>
          <select value={String(stage ?? "")} onChange={(event) => setChosen(Number(event.currentTarget.value))}>
            {job.stages.map((one) => (
              <option key={one.stage} value={String(one.stage)}>
                {one.stage} · {one.stage_key}
              </option>
            ))}
          </select>
        </label>
        <div class="buttons end-line">
          {(["ndjson", "csv"] as const).map((format) => (
            <Save key={format} path={`${path}${queryOf({ ...asked, format })}`} label={format.toUpperCase()} />
          ))}
        </div>
      </div>
      {paged.page.error && <ErrorNote error={paged.page.error} retry={paged.page.refresh} />}
      {paged.page.loading && <Loading what="results" />}
      {paged.page.value && rows.length === 0 && <Empty>No stage has tasks yet.</Empty>}
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} aria-label="Results, scrollable">
          <table class="list dense">
            <thead>
              <tr>
                <th>Task</th>
                <th>State</th>
                {columns.map((name) => (
                  <th key={name}>{name}</th>
                ))}
                <th />
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.task_index}>
                  <td>
                    <button
                      type="button"
                      class="quiet small"
                      onClick={() => open({ stage: paged.page.value?.stage ?? 1, index: row.task_index })}
                    >
                      {row.task_index}
                    </button>
                  </td>
                  <td>
                    <Badge state={row.status} />
                  </td>
                  {columns.map((name) => (
                    <td key={name} class="cut">
                      {cell(row.result, name)}
                    </td>
                  ))}
                  <td class="cut error-line">
                    {row.error ?? (row.result_url ? `${bytes(row.result_bytes)} in blob storage` : "")}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Pager paged={paged} what="results" />
    </>
  );
}

/** The keys that most of the results have, plain values first. */
function columnsOf(results: Json[]): string[] {
  const weights = new Map<string, number>();
  for (const result of results) {
    if (result === null || typeof result !== "object" || Array.isArray(result)) continue;
    for (const [name, value] of Object.entries(result)) {
      const plain = value !== null && typeof value !== "object";
      weights.set(name, (weights.get(name) ?? 0) + (plain ? 10 : 1));
    }
  }
  const names = [...weights.keys()];
  for (const name of FIRST) if (weights.has(name)) weights.set(name, Number.MAX_SAFE_INTEGER);
  names.sort((a, b) => Number(FIRST.includes(b)) - Number(FIRST.includes(a)));
  const chosen = new Set([...names].sort((a, b) => (weights.get(b) ?? 0) - (weights.get(a) ?? 0)).slice(0, MOST_COLUMNS));
  return names.filter((name) => chosen.has(name));
}

function cell(result: Json, name: string): string {
  if (result === null || typeof result !== "object" || Array.isArray(result)) return "";
  const value = result[name];
  if (value === undefined || value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function Save({ path, label }: { path: string; label: string }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const save = async () => {
    setBusy(true);
    setError("");
    try {
      let part = 0;
      for (let next: string | null = path; next; part += 1) {
        const file = await download(next);
        offer(file.blob, part ? file.name.replace(/(\.\w+)$/, `.part${part + 1}$1`) : file.name);
        next = file.next;
      }
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" onClick={() => void save()} disabled={busy}>
        {busy ? "…" : `Download ${label}`}
      </button>
      {error && <span class="error-line">{error}</span>}
    </>
  );
}

function offer(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
