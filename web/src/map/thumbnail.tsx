/** A picture that is asked for with the key, once it comes into sight. */

import { useEffect, useRef, useState } from "preact/hooks";
import { download } from "../api";

export function Thumbnail({ path, name }: { path: string; name: string }) {
  const element = useRef<HTMLSpanElement>(null);
  const [address, setAddress] = useState<string>();
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    let made: string | undefined;
    let over = false;
    const look = async () => {
      try {
        const { blob } = await download(path, { kept: true });
        if (over) return;
        made = URL.createObjectURL(blob);
        setAddress(made);
      } catch {
        setMissing(true);
      }
    };
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      void look();
    });
    if (element.current) watcher.observe(element.current);
    return () => {
      over = true;
      watcher.disconnect();
      if (made) URL.revokeObjectURL(made);
    };
  }, [path]);
  return (
    <span ref={element} class={missing ? "thumbnail none" : "thumbnail"} title={missing ? "no thumbnail" : undefined}>
      {address && !missing && <img src={address} alt={`Thumbnail of ${name}`} onError={() => setMissing(true)} />}
    </span>
  );
}
