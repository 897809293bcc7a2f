/** Submit a job: a form made of the job type's JSON Schema, or the JSON itself. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { ApiError, ask } from "../api";
import { useOnce } from "../polling";
import { go, href } from "../routes";
import type { JobType, Json, JsonObject } from "../types";
import { ErrorNote, Loading } from "../ui/parts";
import { ObjectFields } from "./fields";
import { type Field, fieldsOf } from "./schema";

export function SubmitView({ jobType, query }: { jobType: string | undefined; query: URLSearchParams }) {
  const types = useOnce("types", (signal) => ask<{ job_types: JobType[] }>("jobs/types", { signal }));
  const from = query.get("from");
  const before = useOnce(`from ${from}`, (signal) =>
    from ? ask<{ parameters: JsonObject }>(`db/jobs/${encodeURIComponent(from)}`, { signal }) : Promise.resolve({ parameters: {} }),
  );
  if (types.error) return <ErrorNote error={types.error} retry={types.refresh} />;
  if (!types.value || before.loading) return <Loading what="job types" />;
  const all = types.value.job_types;
  const chosen = all.find((type) => type.job_type === jobType);
  return (
    <>
      <div class="heading">
        <h1>Submit a job</h1>
      </div>
      <div class="submit">
        <nav class="types" aria-label="Job types">
          {all.map((type) => (
            <a
              key={type.job_type}
              href={href(["submit", type.job_type])}
              aria-current={type === chosen ? "page" : undefined}
            >
              <b>{type.job_type}</b>
              <span class="faint">{type.description}</span>
            </a>
          ))}
        </nav>
        {chosen ? (
          <JobForm
            key={`${chosen.job_type} ${from}`}
            type={chosen}
            given={withoutDefaults(before.value?.parameters ?? {}, chosen)}
          />
        ) : (
          <p class="empty">Choose what the job is to do.</p>
        )}
      </div>
    </>
  );
}

/** What differs from the defaults, so that a form filled from a job says only what was meant. */
function withoutDefaults(parameters: JsonObject, type: JobType): JsonObject {
  const defaults = new Map(fieldsOf(type.parameters_schema).map((field) => [field.name, field.fallback]));
  const meant = Object.entries(parameters).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults.get(name)),
  );
  return Object.fromEntries(meant);
}

interface Submitted {
  job_id: string;
  created: boolean;
  run: number;
  status: string;
}

function JobForm({ type, given }: { type: JobType; given: JsonObject }) {
  const fields = useMemo(() => fieldsOf(type.parameters_schema), [type]);
  const [value, setValue] = useState<JsonObject>(given);
  const [raw, setRaw] = useState<string>();
  const [again, setAgain] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [present, setPresent] = useState<Submitted>();
  const errors = new Map(error?.problem.errors?.map((one) => [one.field, one.reason]) ?? []);
  const [first, more] = divided(fields);
  const opened = more.some((field) => field.name in value || [...errors.keys()].some((path) => path.startsWith(field.path)));

  useEffect(() => {
    const wrong = error?.problem.errors?.[0]?.field;
    if (wrong) document.querySelector<HTMLElement>(`[data-path="${CSS.escape(wrong)}"]`)?.focus();
  }, [error]);

  const submit = async (event: Event) => {
    event.preventDefault();
    setError(undefined);
    setPresent(undefined);
    let body: Json = value;
    if (raw !== undefined) {
      try {
        body = JSON.parse(raw) as Json;
      } catch (failure) {
        setError(new ApiError(0, { title: "This is not JSON", detail: String(failure), status: 0 }));
        return;
      }
    }
    setBusy(true);
    try {
      const done = await ask<Submitted>(`jobs/submit/${type.job_type}${again ? "?rerun=true" : ""}`, {
        method: "POST",
        body,
      });
      if (done.created) go(["jobs", done.job_id]);
      else setPresent(done);
    } catch (failure) {
      if (failure instanceof ApiError) setError(failure);
      else throw failure;
    } finally {
      setBusy(false);
    }
  };
  const unplaced = error?.problem.errors?.filter((one) => !fields.some((field) => one.field.startsWith(field.name))) ?? [];
  return (
    <form class="job-form" onSubmit={(event) => void submit(event)} noValidate aria-label={`Parameters of ${type.job_type}`}>
      <h2>{type.job_type}</h2>
      <p>{type.description}</p>
      <p class="faint">
        {type.stages.map((stage) => stage.key).join(" → ")}
      </p>
      {raw === undefined ? (
        <>
          <ObjectFields fields={first} value={value} onChange={setValue} errors={errors} />
          {more.length > 0 && (
            <details open={opened || undefined}>
              <summary>
                {more.length} more {more.length === 1 ? "option" : "options"}
              </summary>
              <ObjectFields fields={more} value={value} onChange={setValue} errors={errors} />
            </details>
          )}
        </>
      ) : (
        <label class="form-field">
          Parameters as JSON
          <textarea
            class="mono"
            rows={16}
            value={raw}
            spellcheck={false}
            onInput={(event) => setRaw(event.currentTarget.value)}
          />
        </label>
      )}
      <details class="preview">
        <summary>As a request</summary>
        <pre class="json" tabIndex={0} aria-label="The request">
          {`POST /api/jobs/submit/${type.job_type}${again ? "?rerun=true" : ""}\n${raw ?? JSON.stringify(value, null, 2)}`}
        </pre>
      </details>
      {error && <ErrorNote error={error} />}
      {unplaced.length > 0 && (
        <ul class="error-line">
          {unplaced.map((one) => (
            <li key={one.field}>
              {one.field}: {one.reason}
            </li>
          ))}
        </ul>
      )}
      {present && (
        <div class="note" role="status">
          <p>
            The same job was submitted before: run {present.run} is {present.status.replaceAll("_", " ")}.{" "}
            <a href={href(["jobs", present.job_id])}>Show it</a>, or tick “run again”.
          </p>
        </div>
      )}
      <div class="buttons form-end">
        <button type="submit" class="primary" disabled={busy}>
          {busy ? "Submitting …" : "Submit"}
        </button>
        <label class="inline">
          <input type="checkbox" checked={again} onChange={(event) => setAgain(event.currentTarget.checked)} />
          run again if it has completed
        </label>
        <button
          type="button"
          class="quiet"
          onClick={() => {
            if (raw === undefined) setRaw(JSON.stringify(value, null, 2));
            else {
              setValue(parsed(raw) ?? value);
              setRaw(undefined);
            }
          }}
        >
          {raw === undefined ? "Edit as JSON" : "Back to the form"}
        </button>
      </div>
    </form>
  );
}

/** What must be given, or says what the job is about, is in front; the rest is one step away. */
function divided(fields: Field[]): [Field[], Field[]] {
  const telling = new Set(["container", "blob", "blobs", "prefix", "source_container", "target_container", "collection", "collections", "collection_id", "layers", "tables", "n", "message", "name"]);
  if (fields.length <= 5) return [fields, []];
  const first = fields.filter((field) => field.required || telling.has(field.name));
  first.sort((a, b) => Number(b.required) - Number(a.required));
  return [first, fields.filter((field) => !first.includes(field))];
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
