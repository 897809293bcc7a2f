/** Tabs as the WAI-ARIA authoring practices have them: arrow keys move, one of them is in the tab order. */

import type { ComponentChildren } from "preact";

export interface Tab {
  id: string;
  label: string;
  count?: number | undefined;
  bad?: boolean;
}

export function Tabs(props: {
  tabs: Tab[];
  current: string;
  onChange: (id: string) => void;
  label: string;
  children: ComponentChildren;
}) {
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = props.tabs.length - 1;
    const at = props.tabs.findIndex((tab) => tab.id === props.current);
    const to =
      event.key === "Home" ? 0 : event.key === "End" ? last : step === undefined ? -1 : (at + step + last + 1) % (last + 1);
    const tab = props.tabs[to];
    if (!tab) return;
    event.preventDefault();
    props.onChange(tab.id);
    document.getElementById(`tab-${tab.id}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={props.label} onKeyDown={move}>
        {props.tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`tab-${tab.id}`}
            aria-selected={tab.id === props.current}
            aria-controls="tabpanel"
            tabIndex={tab.id === props.current ? 0 : -1}
            onClick={() => props.onChange(tab.id)}
          >
            {tab.label}
            {tab.count ? <span class={tab.bad ? "pill bad" : "pill"}>{tab.count.toLocaleString("en")}</span> : null}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tabpanel" aria-labelledby={`tab-${props.current}`} class="panel">
        {props.children}
      </div>
    </>
  );
}
