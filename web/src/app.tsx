/** The frame of the page: where to go, the key, the theme; and the view that the address names. */

import { useEffect, useState } from "preact/hooks";
import { onKeyNeeded, type Needed } from "./api";
import { KeyDialog, SignInDialog } from "./key";
import { JobsView } from "./jobs/jobs";
import { JobView } from "./job/job";
import { HealthView } from "./monitor/health";
import { MonitorView } from "./monitor/monitor";
import { PoisonView } from "./monitor/poison";
import { href, useRoute } from "./routes";
import { getTheme, setTheme, type Theme } from "./session";
import { SubmitView } from "./submit/submit";

const PLACES = [
  ["jobs", "Jobs"],
  ["submit", "Submit"],
  ["monitor", "Monitor"],
  ["poison", "Poison"],
  ["health", "Health"],
] as const;
const NEXT: Record<Theme, Theme> = { system: "dark", dark: "light", light: "system" };

export function App() {
  const route = useRoute();
  const [needed, setNeeded] = useState<Needed | null>(null);
  const [session, setSession] = useState(0);
  const [theme, setOwnTheme] = useState(getTheme);
  const place = route.path[0] ?? "jobs";
  useEffect(() => onKeyNeeded(setNeeded), []);
  useEffect(() => {
    document.title = `${PLACES.find(([id]) => id === place)?.[1] ?? "Operations"} · Operations`;
    document.getElementById("main")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place, route.path[1]]);

  const turn = () => {
    const next = NEXT[theme];
    setTheme(next);
    setOwnTheme(next);
  };
  const keyed = () => {
    setNeeded(null);
    // Whatever was refused is asked for again.
    setSession((n) => n + 1);
  };
  const skip = (event: Event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={href(["jobs"])}>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M5 22c3-7 7-2 10-7s6-8 12-6M5 27c5-6 8-2 12-7s6-6 10-5M5 16c2-5 5-2 7-5s4-6 9-6" />
          </svg>
          <span>Operations</span>
        </a>
        <nav aria-label="Views">
          {PLACES.map(([id, label]) => (
            <a key={id} href={href([id])} aria-current={place === id ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div class="buttons tools">
          <button type="button" class="quiet" onClick={turn} title="Change between system, dark and light colours">
            <svg viewBox="0 0 16 16" class="icon" aria-hidden="true">
              <circle cx="8" cy="8" r="5.2" />
              <path d="M8 2.8a5.2 5.2 0 0 1 0 10.4z" class="filled" />
            </svg>
            <span class="wide-only">{theme}</span>
            <span class="narrow-only sr">Colours: {theme}</span>
          </button>
          <button type="button" class="quiet" onClick={() => setNeeded({ key: true })}>
            <svg viewBox="0 0 16 16" class="icon" aria-hidden="true">
              <circle cx="5" cy="8" r="2.7" />
              <path d="M7.7 8H14v3M11 8v2" />
            </svg>
            <span class="wide-only">Key</span>
            <span class="narrow-only sr">Key</span>
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1} key={session}>
        <View place={place} path={route.path} query={route.query} />
      </main>
      {needed?.key && <KeyDialog onDone={keyed} onClose={() => setNeeded(null)} />}
      {needed && !needed.key && <SignInDialog address={needed.signIn} onClose={() => setNeeded(null)} />}
    </>
  );
}

function View({ place, path, query }: { place: string; path: string[]; query: URLSearchParams }) {
  const [, second] = path;
  if (place === "jobs" && second) return <JobView key={second} jobId={second} query={query} />;
  if (place === "jobs") return <JobsView query={query} />;
  if (place === "submit") return <SubmitView jobType={second} query={query} />;
  if (place === "monitor") return <MonitorView />;
  if (place === "poison") return <PoisonView />;
  if (place === "health") return <HealthView />;
  return (
    <p class="empty">
      There is no such view. <a href={href(["jobs"])}>To the jobs</a>
    </p>
  );
}
