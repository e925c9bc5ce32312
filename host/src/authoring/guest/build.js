// node twinhost_build.mjs PACKAGE WORLD: compiles twinhost_entry.js to out.wasm.

import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [tool, worldName] = process.argv.slice(2);
const { componentize } = await import(pathToFileURL(`${tool}/src/componentize.js`));
try {
  const { component } = await componentize({
    sourcePath: "twinhost_entry.js",
    witPath: "wit-v1",
    worldName,
    // All that would be an import.
    disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
  });
  await writeFile("out.wasm", component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
