import { join } from 'node:path'

import { unmountAll } from './mounts.ts'
import { runCommand } from './run-command.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** How buildah stores and where it pulls. */
export interface BuildahOptions {
  /** Made by `writeRegistriesConf`. */
  readonly registriesConf: string
  /** Default `vfs`, which works everywhere and leaves no mounts. */
  readonly storageDriver?: 'vfs' | 'overlay' | undefined
}

/** How to pull. */
export interface BuildahPullOptions {
  /** Made by `writeAuthFile`. Default: no credentials. */
  readonly authFile?: string | undefined
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a pull brought. */
export interface BuildahPull {
  readonly durationMs: number
  /** Digest of the config. */
  readonly imageId: string
  /** Of the manifest. */
  readonly manifestDigest: string
  /** Of the unpacked layers. */
  readonly diffIds: readonly string[]
}

/** buildah with a storage of its own. */
export interface Buildah extends AsyncDisposable {
  /** Pulls an image, e.g. `docker.io/library/app:latest`. Rejects with what buildah printed. */
  pull(reference: string, options?: BuildahPullOptions): Promise<BuildahPull>
  /** Removes all images. */
  wipe(): Promise<void>
}

interface Inspected {
  readonly FromImageID: string
  readonly FromImageDigest: string
  readonly OCIv1: { readonly rootfs: { readonly diff_ids: readonly string[] } }
}

/** Prepares an empty storage; buildah has no daemon, so each call is a process that ends. */
export async function createBuildah(options: BuildahOptions): Promise<Buildah> {
  const { registriesConf, storageDriver = 'vfs' } = options
  const folder = await temporaryFolder('buildah')
  const flags = ['--root', join(folder.path, 'root'), '--runroot', join(folder.path, 'run')]
  flags.push('--storage-driver', storageDriver)
  const buildah = async (args: readonly string[], timeoutMs?: number, signal?: AbortSignal): Promise<string> => {
    const env = { CONTAINERS_REGISTRIES_CONF: registriesConf, TMPDIR: folder.path }
    const { stdout } = await runCommand('buildah', [...flags, ...args], { env, timeoutMs, signal })
    return stdout
  }
  return {
    async pull(reference, { authFile, timeoutMs, signal } = {}) {
      const credentials = authFile === undefined ? [] : ['--authfile', authFile]
      const startedMs = performance.now()
      await buildah(['pull', '--quiet', '--tls-verify=false', ...credentials, reference], timeoutMs, signal)
      const durationMs = performance.now() - startedMs
      const image = JSON.parse(await buildah(['inspect', '--type', 'image', reference])) as Inspected
      return {
        durationMs,
        imageId: `sha256:${image.FromImageID}`,
        manifestDigest: image.FromImageDigest,
        diffIds: image.OCIv1.rootfs.diff_ids,
      }
    },
    async wipe() {
      await buildah(['rmi', '--all', '--force'])
    },
    async [Symbol.asyncDispose]() {
      await unmountAll(folder.path)
      await folder[Symbol.asyncDispose]()
    },
  }
}
