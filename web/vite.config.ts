import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";
import { defineConfig, type Plugin } from "vite";

const root = import.meta.dirname;
const singleSources = ["index.html", "package-lock.json", "tsconfig.json", "vite.config.ts"];

function sources(): string[] {
  const inside = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join(posix.sep));
  return [...singleSources, ...inside].sort();
}

/** Writes down what was built, so that a test can tell whether the shipped files are those of the sources. */
function recordSources(): Plugin {
  return {
    name: "record-sources",
    apply: "build",
    closeBundle() {
      const digest = createHash("sha256");
      for (const name of sources()) {
        digest.update(`${name}\0`).update(readFileSync(join(root, name))).update("\0");
      }
      writeFileSync(join(root, "dist", "sources.sha256"), `${digest.digest("hex")}\n`);
    },
  };
}

/** The page is at /api/dashboard, without a slash at its end: its files are below `dashboard/` as seen from there. */
function besideThePage(): Plugin {
  return {
    name: "beside-the-page",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("there is no page");
      page.source = String(page.source).replaceAll('"./assets/', '"dashboard/assets/');
    },
  };
}

/** The licences of what is built in ask to be passed on with it. */
function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle() {
      const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
      const parts = Object.keys(dependencies).map((name) => {
        const folder = join(root, "node_modules", name);
        const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
      });
      const land = "The land on the maps is Natural Earth's, which is in the public domain.\n";
      this.emitFile({ type: "asset", fileName: "licences.txt", source: [...parts, land].join("\n\n") });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [besideThePage(), licences(), recordSources()],
  build: {
    target: "es2022",
    // Nothing as data: URI: the page's policy takes files of its own only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Readable names are of use in a browser's error messages; the files are packed when they are sent.
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/api": "http://127.0.0.1:7071" } },
});
