import { join } from 'node:path'

import { unmountAll } from './mounts.ts'
import { runCommand } from './run-command.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** How to pull. */
export interface PodmanPullOptions {
  /** Made by `writeAuthFile`. Default: no credentials. */
  readonly authFile?: string | undefined
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a pull brought. */
export interface PodmanPull {
  readonly durationMs: number
  /** Digest of the config. */
  readonly imageId: string
  /** Of the top and, where that is an index, of the manifest. */
  readonly manifestDigests: readonly string[]
  /** Of the unpacked layers. */
  readonly diffIds: readonly string[]
}

/** podman with a storage of its own. */
export interface Podman extends AsyncDisposable {
  /** Pulls an image, e.g. `docker.io/library/app:latest`. Rejects with what podman printed. */
  pull(reference: string, options?: PodmanPullOptions): Promise<PodmanPull>
  /** Removes all images. */
  wipe(): Promise<void>
}

/** How podman stores and where it pulls. */
export interface PodmanOptions {
  /** Made by `writeRegistriesConf`. Default: what the home folder or the system has. */
  readonly registriesConf?: string | undefined
  /** The home folder, e.g. with what `writeRegistriesDropIn` has put there. Default: this process's. */
  readonly home?: string | undefined
  /** Default `vfs`, which works everywhere and leaves no mounts. */
  readonly storageDriver?: 'vfs' | 'overlay' | undefined
}

interface Inspected {
  readonly Id: string
  readonly RepoDigests: readonly string[] | null
  readonly Digest: string
  readonly RootFS: { readonly Layers: readonly string[] }
}

/** Prepares an empty storage; podman has no daemon, so each call is a process that ends. */
export async function createPodman(options: PodmanOptions): Promise<Podman> {
  const { registriesConf, home = process.env['HOME'], storageDriver = 'vfs' } = options
  const folder = await temporaryFolder('podman')
  const flags = ['--root', join(folder.path, 'root'), '--runroot', join(folder.path, 'run')]
  flags.push('--tmpdir', join(folder.path, 'tmp'), '--storage-driver', storageDriver)
  const podman = async (args: readonly string[], timeoutMs?: number, signal?: AbortSignal): Promise<string> => {
    const env = { CONTAINERS_REGISTRIES_CONF: registriesConf, HOME: home, TMPDIR: folder.path }
    const { stdout } = await runCommand('podman', [...flags, ...args], { env, timeoutMs, signal })
    return stdout
  }
  return {
    async pull(reference, { authFile, timeoutMs, signal } = {}) {
      const credentials = authFile === undefined ? [] : ['--authfile', authFile]
      const startedMs = performance.now()
      await podman(['pull', '--quiet', '--tls-verify=false', ...credentials, reference], timeoutMs, signal)
      const durationMs = performance.now() - startedMs
      const [image] = JSON.parse(await podman(['image', 'inspect', reference])) as Inspected[]
      if (image === undefined) throw new Error(`podman does not know ${reference} after it pulled it`)
      const repoDigests = (image.RepoDigests ?? []).map((each) => each.slice(each.indexOf('@') + 1))
      return {
        durationMs,
        imageId: `sha256:${image.Id}`,
        manifestDigests: [...new Set([image.Digest, ...repoDigests])],
        diffIds: image.RootFS.Layers,
      }
    },
    async wipe() {
      await podman(['rmi', '--all', '--force'])
    },
    async [Symbol.asyncDispose]() {
      await unmountAll(folder.path)
      await folder[Symbol.asyncDispose]()
    },
  }
}
