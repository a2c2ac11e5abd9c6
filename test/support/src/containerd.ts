import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type RunningProcess, startProcess } from './child-process.ts'
import { digestOfFile } from './descriptor.ts'
import { unmountAll } from './mounts.ts'
import { runCommand } from './run-command.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** How to start containerd. */
export interface ContainerdOptions {
  /** Default `overlayfs`; `native` copies, but works on any file system. */
  readonly snapshotter?: 'overlayfs' | 'native' | undefined
}

/** How to pull. */
export interface ContainerdPullOptions {
  /** A folder made by `writeHostsFolder`. */
  readonly hostsFolder: string
  /** All platforms of an index. Default: this machine's. */
  readonly allPlatforms?: boolean | undefined
  /** `user:password` for the registry. */
  readonly user?: string | undefined
  /** Default 120,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a pull took. */
export interface ContainerdPull {
  readonly durationMs: number
  /** What `ctr` printed. */
  readonly output: string
}

/** A containerd daemon of a test's own. */
export interface Containerd extends AsyncDisposable {
  readonly process: RunningProcess
  /** The Unix socket. */
  readonly address: string
  /** Blobs by hexadecimal digest: what a proxy on the same node may read. */
  readonly blobFolder: string
  /** Pulls and unpacks. Rejects with what `ctr` printed. */
  pull(reference: string, options: ContainerdPullOptions): Promise<ContainerdPull>
  /** Rejects unless containerd itself says that the image is complete and unpacked. */
  check(reference: string): Promise<void>
  /** Digests of all content. */
  contentDigests(): Promise<string[]>
  /** Hashes every blob on disk. Rejects when one is not what its name says; returns the digests. */
  verifyContent(): Promise<string[]>
  /** Removes all images and their content. */
  wipe(): Promise<void>
  /** Runs `ctr` with these arguments and returns what it printed. */
  ctr(args: readonly string[]): Promise<string>
}

/** Starts a containerd daemon with its own root, state and socket. Needs root; several can run on one machine. */
export async function startContainerd(options: ContainerdOptions = {}): Promise<Containerd> {
  const { snapshotter = 'overlayfs' } = options
  await using stack = new AsyncDisposableStack()
  const { path: folder } = stack.use(await temporaryFolder('containerd'))
  const address = join(folder, 'containerd.sock')
  const config = join(folder, 'config.toml')
  await writeFile(config, configOf(folder, address))
  const ctr = async (args: readonly string[], timeoutMs = 120_000, signal?: AbortSignal): Promise<string> => {
    const { stdout, stderr } = await runCommand('ctr', ['--address', address, ...args], { timeoutMs, signal })
    return stdout + stderr
  }
  stack.defer(() => unmountAll(folder))
  const process = stack.use(
    await startProcess({
      command: 'containerd',
      args: ['--config', config],
      readyWhen: /containerd successfully booted/,
    }),
  )
  const blobFolder = join(folder, 'root', 'io.containerd.content.v1.content', 'blobs', 'sha256')
  const owned = stack.move()

  return {
    process,
    address,
    blobFolder,
    async pull(reference, { hostsFolder, allPlatforms = false, user, timeoutMs, signal }) {
      const startedMs = performance.now()
      const flags = ['--hosts-dir', hostsFolder, '--snapshotter', snapshotter]
      if (allPlatforms) flags.push('--all-platforms')
      if (user !== undefined) flags.push('--user', user)
      const output = await ctr(['images', 'pull', ...flags, reference], timeoutMs, signal)
      return { durationMs: performance.now() - startedMs, output }
    },
    async check(reference) {
      const output = await ctr(['images', 'check', '--snapshotter', snapshotter, `name==${reference}`])
      const line = output.split('\n').find((each) => each.startsWith(`${reference} `)) ?? ''
      // Columns: reference, type, digest, status, size, unpacked.
      if (!/\scomplete \(/.test(line) || !/\strue\s*$/.test(line)) {
        throw new Error(`image ${reference} is not complete and unpacked: ${output}`)
      }
    },
    contentDigests: async () => wordsOf(await ctr(['content', 'ls', '--quiet'])),
    verifyContent: () => verifyBlobs(blobFolder),
    async wipe() {
      for (const image of wordsOf(await ctr(['images', 'ls', '--quiet']))) await ctr(['images', 'rm', '--sync', image])
      for (const lease of wordsOf(await ctr(['leases', 'ls', '--quiet']))) await ctr(['leases', 'rm', '--sync', lease])
      await ctr(['content', 'prune', 'references'])
    },
    ctr: (args) => ctr(args),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configOf(folder: string, address: string): string {
  const unused = ['grpc.v1.cri', 'snapshotter.v1.aufs', 'snapshotter.v1.btrfs', 'snapshotter.v1.devmapper']
  return `
version = 2
root = "${join(folder, 'root')}"
state = "${join(folder, 'state')}"
disabled_plugins = [${[...unused, 'snapshotter.v1.zfs'].map((name) => `"io.containerd.${name}"`).join(', ')}]

[grpc]
address = "${address}"

[ttrpc]
address = "${address}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
path = "${join(folder, 'opt')}"
`
}

async function verifyBlobs(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  const digests = await Promise.all(names.map((name) => digestOfFile(join(folder, name))))
  const wrong = names.filter((name, index) => digests[index] !== `sha256:${name}`)
  if (wrong.length > 0) throw new Error(`content that is not what its name says: ${wrong.join(', ')}`)
  return digests
}

function wordsOf(output: string): string[] {
  return output.split(/\s+/).filter((word) => word !== '')
}
