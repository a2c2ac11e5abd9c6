import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type RunningProcess, startProcess } from './child-process.ts'
import { startContainerd } from './containerd.ts'
import { unmountAll } from './mounts.ts'
import { runCommand } from './run-command.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** How to start dockerd. */
export interface DockerdOptions {
  /** URLs to ask, in this order, before docker.io itself is; other registries have no mirrors. */
  readonly registryMirrors: readonly string[]
  /** Default `overlay2`; `vfs` copies, but works on any file system. */
  readonly storageDriver?: 'overlay2' | 'vfs' | undefined
}

/** How to pull. */
export interface DockerdPullOptions {
  /** `user:password` for docker.io, which its mirrors are sent too. Default: no credentials. */
  readonly user?: string | undefined
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a pull brought. */
export interface DockerdPull {
  readonly durationMs: number
  /** Digest of the config. */
  readonly imageId: string
  /** What the tag refers to: an index or a manifest. */
  readonly topDigests: readonly string[]
  /** Of the unpacked layers. */
  readonly diffIds: readonly string[]
}

/** A Docker Engine of a test's own, with its classic image store. */
export interface Dockerd extends AsyncDisposable {
  readonly process: RunningProcess
  /** Pulls an image, e.g. `library/app:latest`, with the docker command. Rejects with what it printed. */
  pull(reference: string, options?: DockerdPullOptions): Promise<DockerdPull>
  /** Removes all images. */
  wipe(): Promise<void>
}

interface Inspected {
  readonly Id: string
  readonly RepoDigests: readonly string[]
  readonly RootFS: { readonly Layers: readonly string[] }
}

/**
 * Starts dockerd with a containerd, folders and a socket of its own, and without a network. Needs root; several can run
 * on one machine, beside one of the system.
 */
export async function startDockerd(options: DockerdOptions): Promise<Dockerd> {
  const { registryMirrors, storageDriver = 'overlay2' } = options
  await using stack = new AsyncDisposableStack()
  const { path: folder } = stack.use(await temporaryFolder('dockerd'))
  // One that dockerd starts itself would be in a process group of its own, and outlive a dockerd that is killed.
  const containerd = stack.use(await startContainerd())
  stack.defer(() => unmountAll(folder))
  const address = `unix://${join(folder, 'docker.sock')}`
  const config = join(folder, 'daemon.json')
  await writeFile(
    config,
    JSON.stringify({
      'registry-mirrors': registryMirrors,
      'data-root': join(folder, 'data'),
      'exec-root': join(folder, 'exec'),
      'storage-driver': storageDriver,
      pidfile: join(folder, 'docker.pid'),
      containerd: containerd.address,
      hosts: [address],
      bridge: 'none',
      iptables: false,
      ip6tables: false,
    }),
  )
  const process = stack.use(
    await startProcess({
      command: 'dockerd',
      args: ['--config-file', config],
      readyWhen: /API listen on/,
      readyTimeoutMs: 60_000,
    }),
  )
  const docker = async (args: readonly string[], timeoutMs?: number, signal?: AbortSignal): Promise<string> => {
    // Neither the settings nor the credentials of whoever runs the test.
    const env = { DOCKER_CONFIG: folder, DOCKER_HOST: address, DOCKER_CONTEXT: undefined }
    const { stdout } = await runCommand('docker', args, { env, timeoutMs, signal })
    return stdout
  }
  const owned = stack.move()
  return {
    process,
    async pull(reference, { user, timeoutMs, signal } = {}) {
      const auths =
        user === undefined ? {} : { 'https://index.docker.io/v1/': { auth: Buffer.from(user).toString('base64') } }
      await writeFile(join(folder, 'config.json'), JSON.stringify({ auths }))
      const startedMs = performance.now()
      await docker(['pull', '--quiet', reference], timeoutMs, signal)
      const durationMs = performance.now() - startedMs
      const [image] = JSON.parse(await docker(['image', 'inspect', reference])) as Inspected[]
      if (image === undefined) throw new Error(`docker does not know ${reference} after it pulled it`)
      const topDigests = image.RepoDigests.map((each) => each.slice(each.indexOf('@') + 1))
      return { durationMs, imageId: image.Id, topDigests, diffIds: image.RootFS.Layers }
    },
    async wipe() {
      const images = (await docker(['image', 'ls', '--quiet', '--no-trunc'])).split(/\s+/).filter((id) => id !== '')
      if (images.length > 0) await docker(['image', 'rm', '--force', ...images])
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
