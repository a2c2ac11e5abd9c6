import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { runCommand } from '@layerlock/test-support'
import { readTarball, type Tarball } from './tarball.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** What of the checkout a release is made from; the support code because the packages name it for their own tests. */
const SOURCES = ['LICENSE', 'package.json', 'pnpm-workspace.yaml', 'tsconfig.base.json', 'packages', 'test/support']

/**
 * Builds and packs all packages as a release does, in a copy of the checkout, so that neither what an earlier build has
 * left there nor who else works there makes a difference.
 */
export async function packRelease(folder: string): Promise<Tarball[]> {
  for (const source of SOURCES) {
    await cp(join(ROOT, source), join(folder, source), {
      recursive: true,
      // The links of pnpm are relative: they lead to the copy's packages, and by the next line to what is installed.
      verbatimSymlinks: true,
      filter: (path) => basename(path) !== 'dist',
    })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  await leaveStaleBuild(folder)
  // What npm was called with to run the tests is not meant for this call.
  const env = { npm_config_call: undefined, npm_config_prefer_offline: 'true' }
  await runCommand('npm', ['run', '--silent', 'tarballs'], { cwd: folder, env, timeoutMs: 240_000 })
  const names = await readdir(join(folder, 'dist'))
  return Promise.all(names.map((name) => readTarball(join(folder, 'dist', name))))
}

/** What a build of an earlier checkout may have left: it must not be published. */
async function leaveStaleBuild(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, 'packages'))) {
    const dist = join(folder, 'packages', name, 'dist')
    await mkdir(dist)
    await writeFile(join(dist, 'stale.js'), '')
  }
}
