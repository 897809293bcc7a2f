/** One job: where it is and why, its stages, and everything below them. */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api";
import { count, duration, time } from "../format";
import { usePolled } from "../polling";
import { href, replaceQuery } from "../routes";
import { ENDED, type JobStatus } from "../types";
import { Badge, Copy, ErrorNote, JsonView, Loading, TaskBar, When } from "../ui/parts";
import { Tabs } from "../ui/tabs";
import { MapView } from "../map/map";
import { Actions } from "./actions";
import { Explain } from "./explain";
import { FailuresView } from "./failures";
import { HistoryView } from "./history";
import { ParametersView } from "./parameters";
import { ResultsView } from "./results";
import { StageFlow } from "./stages";
import { TaskDialog } from "./task";
import { TasksView } from "./tasks";
import { TimelineView } from "./timeline";

const EVERY_MS = 1000;

/** A task that is shown whole. */
export interface TaskPlace {
  stage: number;
  index: number;
}

export function JobView({ jobId, query }: { jobId: string; query: URLSearchParams }) {
  const status = usePolled(`status ${jobId}`, (signal) => ask<JobStatus>(`jobs/status/${jobId}`, { signal }), {
    every: EVERY_MS,
    live: (job) => !ENDED.has(job.status),
  });
  const [shown, setShown] = useState<TaskPlace>();
  const job = status.value;
  useEffect(() => {
    if (job) document.title = `${job.job_type} · ${job.status} · Operations`;
  }, [job?.status]);
  if (!job) {
    return status.error ? <ErrorNote error={status.error} retry={status.refresh} /> : <Loading what="the job" />;
  }
  const tab = query.get("tab") ?? "timeline";
  const failed = job.progress.failed;
  const tabs = [
    { id: "timeline", label: "Timeline" },
    { id: "failures", label: "Failures", count: failed, bad: true },
    { id: "tasks", label: "Tasks", count: job.progress.total },
    { id: "results", label: "Results" },
    { id: "map", label: "Map" },
    { id: "history", label: "History" },
    { id: "parameters", label: "Parameters" },
  ];
  const run = chosenRun(query, job.run);
  const past = run === job.run ? {} : { run: String(run) };
  const view = {
    // Of a past run nothing changes any more.
    job: run === job.run ? job : { ...job, run, status: "completed" as const },
    /** Changes whenever the job does: views that are asked for once are asked again then. */
    version: `${run} ${job.status} ${job.timings.updated_at} ${job.progress.percent}`,
    open: setShown,
  };
  return (
    <>
      <p class="crumbs">
        <a href={href(["jobs"])}>Jobs</a> <span aria-hidden="true">/</span> {job.job_type}
      </p>
      <div class="heading">
        <h1>
          {job.job_type} <Badge state={job.status} />
        </h1>
        <Actions job={job} onDone={status.refresh} />
      </div>
      {status.error && <ErrorNote error={status.error} retry={status.refresh} />}
      <Facts job={job} />
      <div class="overall" aria-live="polite">
        <TaskBar progress={job.progress} />
        <span class="figure">{job.progress.percent} %</span>
        <span class="faint">
          {count(job.progress.completed)} of {count(job.progress.total)} tasks completed
          {failed > 0 && <b class="t-failed">, {count(failed)} failed</b>}
        </span>
      </div>
      <Explain job={job} onDone={status.refresh} />
      <StageFlow job={job} />
      {job.run > 1 && <RunChoice run={run} last={job.run} tab={tab} />}
      <Tabs tabs={tabs} current={tab} onChange={(id) => replaceQuery({ tab: id, ...past })} label="Parts of the job">
        {tab === "timeline" && <TimelineView {...view} />}
        {tab === "failures" && <FailuresView {...view} />}
        {tab === "tasks" && <TasksView {...view} query={query} />}
        {tab === "results" && <ResultsView {...view} />}
        {tab === "map" && <MapView {...view} />}
        {tab === "history" && <HistoryView {...view} />}
        {tab === "parameters" && <ParametersView {...view} />}
      </Tabs>
      {job.result !== null && tab === "results" && (
        <section>
          <h2>What the job answers</h2>
          <JsonView value={job.result} label="The job's result" />
        </section>
      )}
      {shown && <TaskDialog job={view.job} place={shown} onClose={() => setShown(undefined)} />}
    </>
  );
}

/** The run that the tabs show: the newest unless the address names another. */
function chosenRun(query: URLSearchParams, last: number): number {
  const named = Number(query.get("run"));
  return Number.isInteger(named) && named >= 1 && named < last ? named : last;
}

function RunChoice({ run, last, tab }: { run: number; last: number; tab: string }) {
  const runs = Array.from({ length: Math.min(last, 50) }, (_, n) => last - n);
  return (
    <label class="inline">
      <span>Run shown below</span>
      <select
        value={String(run)}
        onChange={(event) => replaceQuery({ tab, run: Number(event.currentTarget.value) === last ? undefined : event.currentTarget.value })}
      >
        {runs.map((one) => (
          <option key={one} value={String(one)}>
            {one === last ? `${one} (the newest)` : one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What the views of one job are given. */
export interface JobPart {
  job: JobStatus;
  version: string;
  open: (place: TaskPlace) => void;
}

function Facts({ job }: { job: JobStatus }) {
  return (
    <dl class="facts">
      <div>
        <dt>Job</dt>
        <dd>
          <code class="id" title={job.job_id}>
            {job.job_id}
          </code>
          <Copy text={job.job_id} label="the job's id" />
        </dd>
      </div>
      <div>
        <dt>Run</dt>
        <dd>{job.run}</dd>
      </div>
      <div>
        <dt>Submitted</dt>
        <dd>
          <When at={job.timings.queued_at} />
        </dd>
      </div>
      <div>
        <dt>{job.timings.completed_at ? "Took" : "Runs for"}</dt>
        <dd title={`started ${time(job.timings.started_at)}, ended ${time(job.timings.completed_at)}`}>
          {duration(job.timings.duration_seconds)}
        </dd>
      </div>
      <div>
        <dt>Correlation id</dt>
        <dd>
          <code class="id" title={job.correlation_id}>
            {job.correlation_id}
          </code>
          <Copy text={job.correlation_id} label="the correlation id" />
        </dd>
      </div>
    </dl>
  );
}
