import type { Paged } from "./paged";

export function Pager({ paged, what }: { paged: Paged<unknown>; what: string }) {
  if (!paged.back && !paged.on) return null;
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <button type="button" disabled={!paged.back} onClick={paged.back}>
        Back
      </button>
      <span>Page {paged.number}</span>
      <button type="button" disabled={!paged.on} onClick={paged.on}>
        Next
      </button>
    </nav>
  );
}
