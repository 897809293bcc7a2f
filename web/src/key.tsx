/** Asks for the function key, and keeps it until the tab is closed; or leads to where a person signs in. */

import { useState } from "preact/hooks";
import { getKey, setKey } from "./session";
import { Dialog } from "./ui/parts";

export function KeyDialog({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [key, setOwnKey] = useState(getKey);
  const keep = (event: Event) => {
    event.preventDefault();
    setKey(key.trim());
    onDone();
  };
  const forget = () => {
    setKey("");
    onDone();
  };
  return (
    <Dialog title="Function key" onClose={onClose}>
      <form onSubmit={keep} class="stack">
        <p>
          The key is sent with each request as <code>x-functions-key</code>, and kept in this tab only until it is
          closed.
        </p>
        <label class="field">
          <span>Key</span>
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={key}
            onInput={(event) => setOwnKey(event.currentTarget.value)}
          />
        </label>
        <div class="buttons end">
          <button type="button" onClick={forget} disabled={!getKey()}>
            Forget it
          </button>
          <button type="submit" class="primary" disabled={!key.trim()}>
            Use it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The app asks who somebody is. Signed in, the browser sends the session along by itself. */
export function SignInDialog({ address, onClose }: { address: string; onClose: () => void }) {
  const back = encodeURIComponent(location.pathname + location.search + location.hash);
  return (
    <Dialog title="Sign in" onClose={onClose}>
      <div class="stack">
        {address ? (
          <p>
            The app asks who you are. <a href={`${address}?post_login_redirect_uri=${back}`}>Sign in</a>, and come back
            to this view.
          </p>
        ) : (
          <p>The app takes tokens of programs only: nobody can sign in with a browser.</p>
        )}
      </div>
    </Dialog>
  );
}
