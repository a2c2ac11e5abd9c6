import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { digestOf, digestOfFile } from './descriptor.ts'
import { runCommand } from './run-command.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** How to copy. */
export interface SkopeoPullOptions {
  /** Made by `writeRegistriesConf`. */
  readonly registriesConf: string
  /** All platforms of an index. Default: this machine's. */
  readonly allPlatforms?: boolean | undefined
  /** Made by `writeAuthFile`. Default: no credentials. */
  readonly authFile?: string | undefined
  /** `user:password`, which it sends to the host of the reference only. Default: no credentials. */
  readonly creds?: string | undefined
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a copy brought. */
export interface SkopeoPull {
  readonly durationMs: number
  /** Of the manifest, or with `allPlatforms` of the index. */
  readonly topDigest: string
  /** Configs and layers, hashed from what is on disk, and manifests. */
  readonly digests: readonly string[]
}

/**
 * Copies an image with `skopeo copy docker://… dir:…` into a folder that is then removed, and hashes everything there.
 *
 * @param reference e.g. `docker.io/library/app:latest`
 */
export async function skopeoPull(reference: string, options: SkopeoPullOptions): Promise<SkopeoPull> {
  const { registriesConf, allPlatforms = false, authFile, creds, timeoutMs, signal } = options
  await using folder = await temporaryFolder('skopeo')
  const target = join(folder.path, 'image')
  const flags = ['--src-tls-verify=false']
  if (allPlatforms) flags.push('--all')
  if (authFile !== undefined) flags.push('--src-authfile', authFile)
  if (creds !== undefined) flags.push('--src-creds', creds)
  const startedMs = performance.now()
  await runCommand(
    'skopeo',
    // skopeo ignores CONTAINERS_REGISTRIES_CONF.
    [
      '--insecure-policy',
      '--registries-conf',
      registriesConf,
      'copy',
      ...flags,
      `docker://${reference}`,
      `dir:${target}`,
    ],
    { timeoutMs, signal },
  )
  const durationMs = performance.now() - startedMs
  return {
    durationMs,
    topDigest: digestOf(await readFile(join(target, 'manifest.json'))),
    digests: await digestsIn(target),
  }
}

async function digestsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name !== 'version')
  const digests = await Promise.all(names.map((name) => digestOfFile(join(folder, name))))
  const wrong = names.filter((name, index) => /^[0-9a-f]{64}$/.test(name) && digests[index] !== `sha256:${name}`)
  if (wrong.length > 0) throw new Error(`skopeo wrote what is not what its name says: ${wrong.join(', ')}`)
  return digests
}
