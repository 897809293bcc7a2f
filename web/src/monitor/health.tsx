/** Whether everything that the app needs answers, and whether its rows are as they must be. */

import { useState } from "preact/hooks";
import { ApiError, ask } from "../api";
import { count, duration, plural, words } from "../format";
import { usePolled } from "../polling";
import type { Health, Invariants, Json } from "../types";
import { Badge, ErrorNote, Loading, When } from "../ui/parts";

export function HealthView() {
  const found = usePolled("health", (signal) => ask<Health>("health", { signal, also: [503] }), { every: 10_000 });
  const health = found.value;
  return (
    <>
      <div class="heading">
        <h1>Health {health && <Badge state={health.status === "healthy" ? "ok" : "failed"} />}</h1>
        <button type="button" onClick={found.refresh}>
          Check now
        </button>
      </div>
      {found.error && <ErrorNote error={found.error} retry={found.refresh} />}
      {found.loading && <Loading what="the checks" />}
      {health && (
        <>
          <ul class="checks">
            {Object.entries(health.checks).map(([name, { status, duration_ms, error, ...others }]) => (
              <li key={name} class={status === "ok" ? "check" : "check bad"}>
                <div class="check-head">
                  <b>{name}</b> <Badge state={status} />
                  <span class="faint">{duration(duration_ms / 1000)}</span>
                </div>
                {error && <p class="error-line">{error}</p>}
                <dl class="details">
                  {Object.entries(others).map(([key, value]) => (
                    <div key={key}>
                      <dt>{words(key)}</dt>
                      <dd>{shown(value)}</dd>
                    </div>
                  ))}
                </dl>
              </li>
            ))}
          </ul>
          <h2>Breakers of the process that answered</h2>
          <ul class="checks">
            {health.breakers.map((breaker) => (
              <li key={breaker.dependency} class={breaker.state === "closed" ? "check" : "check bad"}>
                <div class="check-head">
                  <b>{words(breaker.dependency)}</b> <Badge state={breaker.state} />
                </div>
                <p class="faint">
                  {plural(breaker.failures, "failure")} in a row
                  {breaker.open_until && (
                    <>
                      , left alone until <When at={breaker.open_until} />
                    </>
                  )}
                </p>
              </li>
            ))}
          </ul>
          <h2>What must always be empty</h2>
          <InvariantsView />
          <h2>Versions</h2>
          <dl class="facts">
            {Object.entries(health.versions).map(([name, version]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{version}</dd>
              </div>
            ))}
          </dl>
          <p>
            <a href={`${location.pathname.replace(/\/$/, "")}/licences.txt`}>Licences of what this page is made with</a>
          </p>
        </>
      )}
    </>
  );
}

function InvariantsView() {
  const [found, setFound] = useState<Invariants>();
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    setError(undefined);
    try {
      setFound(await ask<Invariants>("db/invariants"));
    } catch (failure) {
      if (failure instanceof ApiError) setError(failure);
    }
    setBusy(false);
  };
  return (
    <div class="stack">
      {found && (
        <ul class="invariants">
          {found.invariants.map((one) => (
            <li key={one.name} class={one.count ? "bad" : ""}>
              <Badge state={one.count ? "failed" : "ok"} />
              <span>
                <b>{words(one.name.replace(/^invariant_\d+_/, ""))}</b>
                <span class="faint"> {one.description}</span>
              </span>
              <span class="number">{count(one.count)}</span>
            </li>
          ))}
        </ul>
      )}
      {error && <ErrorNote error={error} />}
      <p>
        <button type="button" onClick={() => void look()} disabled={busy}>
          {busy ? "Looking …" : "Look into the tables"}
        </button>
      </p>
    </div>
  );
}

function shown(value: Json): string {
  if (value === null) return "none";
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return "none";
  return entries.map(([name, one]) => (Array.isArray(value) ? String(one) : `${name}: ${String(one)}`)).join(", ");
}
