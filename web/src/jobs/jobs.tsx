/** All jobs, newest first: filtered, searched by their parameters, with live progress. */

import { useEffect, useState } from "preact/hooks";
import { ask, query as queryOf } from "../api";
import { count, duration, shortId } from "../format";
import { useOnce, usePolled } from "../polling";
import { href, replaceQuery } from "../routes";
import { JOB_STATES, type JobType, type ListedJob } from "../types";
import { Badge, Empty, ErrorNote, Loading, TaskBar, When } from "../ui/parts";

interface Listing {
  jobs: ListedJob[];
  next_cursor: string | null;
}

const PAGE = 50;
const SPANS = [
  ["", "any time"],
  ["1", "last hour"],
  ["24", "last day"],
  ["168", "last week"],
] as const;
const TYPING_MS = 350;

interface Filters {
  search: string;
  /** "1": the text is looked for inside words, too. */
  inside: string;
  type: string;
  status: string;
  hours: string;
}

const NAMED = /^[\w.]+=/;

/** `name=value` looks for a parameter, anything else for the beginnings of ids and of words in all values. */
function searched(text: string, inside: boolean): { search?: string; parameter?: string; contains?: string } {
  const trimmed = text.trim();
  if (!trimmed) return {};
  if (NAMED.test(trimmed)) return { parameter: trimmed };
  return inside ? { contains: trimmed } : { search: trimmed };
}

export function JobsView({ query }: { query: URLSearchParams }) {
  const filters: Filters = {
    search: query.get("search") ?? "",
    inside: query.get("inside") ?? "",
    type: query.get("type") ?? "",
    status: query.get("status") ?? "",
    hours: query.get("hours") ?? "",
  };
  const [older, setOlder] = useState<ListedJob[]>([]);
  const [cursor, setCursor] = useState<string | null>();
  const asked = queryOf({
    limit: PAGE,
    type: filters.type,
    status: filters.status,
    hours: filters.hours,
    ...searched(filters.search, filters.inside === "1"),
  });
  const first = usePolled(`jobs${asked}`, (signal) => ask<Listing>(`db/jobs${asked}`, { signal }), { every: 2000 });
  const types = useOnce("types", (signal) => ask<{ job_types: JobType[] }>("jobs/types", { signal }));
  useEffect(() => {
    setOlder([]);
    setCursor(undefined);
  }, [asked]);

  const change = (changed: Partial<Filters>) => replaceQuery({ ...filters, ...changed });
  const newest = first.value?.jobs ?? [];
  const known = new Set(newest.map((job) => job.job_id));
  const jobs = [...newest, ...older.filter((job) => !known.has(job.job_id))];
  const next = cursor === undefined ? first.value?.next_cursor : cursor;
  const more = async () => {
    const page = await ask<Listing>(`db/jobs${asked}&cursor=${encodeURIComponent(next ?? "")}`);
    setOlder((before) => [...before, ...page.jobs]);
    setCursor(page.next_cursor);
  };
  return (
    <>
      <div class="heading">
        <h1>Jobs</h1>
        <a class="button primary" href={href(["submit"])}>
          Submit a job
        </a>
      </div>
      <FilterBar filters={filters} types={types.value?.job_types ?? []} onChange={change} />
      {first.error && <ErrorNote error={first.error} retry={first.refresh} />}
      {first.loading && <Loading what="jobs" />}
      {first.value && jobs.length === 0 && (
        <Empty>
          {Object.values(filters).some(Boolean) ? "No job fits these filters." : "Nothing was submitted yet."}
          {filters.search && !filters.inside && " Words are found by how they begin: tick “inside words” for any text."}
        </Empty>
      )}
      {jobs.length > 0 && <JobTable jobs={jobs} />}
      {next && (
        <p class="centred">
          <button type="button" onClick={() => void more().catch(first.refresh)}>
            Show older jobs
          </button>
        </p>
      )}
    </>
  );
}

function FilterBar(props: { filters: Filters; types: JobType[]; onChange: (changed: Partial<Filters>) => void }) {
  const { filters, onChange } = props;
  const [text, setText] = useState(filters.search);
  useEffect(() => setText(filters.search), [filters.search]);
  useEffect(() => {
    if (text === filters.search) return undefined;
    const timer = setTimeout(() => onChange(text ? { search: text } : { search: "", inside: "" }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const chosen = new Set(filters.status.split(",").filter(Boolean));
  const toggle = (state: string) => {
    const states = JOB_STATES.filter((one) => (one === state ? !chosen.has(one) : chosen.has(one)));
    onChange({ status: states.join(",") });
  };
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="field grow">
        <span>Search</span>
        <input
          type="search"
          value={text}
          placeholder="job id, words of any value, or container=bronze"
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {filters.search && !NAMED.test(filters.search.trim()) && (
        <label class="inline" title="Looks through job after job: slower where there are many">
          <input
            type="checkbox"
            checked={filters.inside === "1"}
            onChange={(event) => onChange({ inside: event.currentTarget.checked ? "1" : "" })}
          />
          <span>inside words</span>
        </label>
      )}
      <label class="field">
        <span>Type</span>
        <select value={filters.type} onChange={(event) => onChange({ type: event.currentTarget.value })}>
          <option value="">all types</option>
          {props.types.map((type) => (
            <option key={type.job_type} value={type.job_type}>
              {type.job_type}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Changed</span>
        <select value={filters.hours} onChange={(event) => onChange({ hours: event.currentTarget.value })}>
          {SPANS.map(([hours, label]) => (
            <option key={hours} value={hours}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <fieldset class="chips">
        <legend class="sr">State</legend>
        {JOB_STATES.map((state) => (
          <button
            key={state}
            type="button"
            class="chip"
            aria-pressed={chosen.has(state)}
            onClick={() => toggle(state)}
          >
            <Badge state={state} />
          </button>
        ))}
      </fieldset>
    </form>
  );
}

function JobTable({ jobs }: { jobs: ListedJob[] }) {
  return (
    <div class="scroll">
      <table class="list cards">
        <thead>
          <tr>
            <th>State</th>
            <th>Type</th>
            <th>Job</th>
            <th>Progress</th>
            <th>Submitted</th>
            <th class="number">Took</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.job_id}>
              <td>
                <Badge state={job.status} />
              </td>
              <td class="strong">{job.job_type}</td>
              <td>
                <a class="row-link" href={href(["jobs", job.job_id])}>
                  <code>{shortId(job.job_id)}</code>
                  {job.run > 1 && <span class="faint"> run {job.run}</span>}
                </a>
                {job.error && <div class="error-line">{job.error}</div>}
              </td>
              <td class="progress">
                <TaskBar progress={job.progress} thin />
                <span class="faint">
                  {job.progress.percent} % · stage {job.stage}/{job.total_stages} · {count(job.progress.total)} tasks
                </span>
              </td>
              <td>
                <When at={job.queued_at} />
              </td>
              <td class="number">{duration(seconds(job))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function seconds(job: ListedJob): number | null {
  if (!job.started_at) return null;
  const end = job.completed_at ? new Date(job.completed_at).getTime() : Date.now();
  return Math.max(0, (end - new Date(job.started_at).getTime()) / 1000);
}
