import { parseArgs } from 'node:util'

/** An image as it is asked for. */
export interface ImageReference {
  readonly repository: string
  readonly tag: string
}

/** A registry that exists, and what to pull from it. */
export interface RealUpstream {
  readonly url: URL
  readonly image: ImageReference
}

/** What the demo is to do. */
export interface DemoOptions {
  /** Whether to print the help and do nothing. */
  readonly help: boolean
  /** Default: a registry of the demo's own. */
  readonly upstream: RealUpstream | undefined
  /** Whether containerd daemons pull. Default: a small puller that is part of the demo. */
  readonly containerd: boolean
}

/** Wrong usage: the message says of what and what is allowed. Ends the demo with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const HELP = `Usage: npm run demo [-- OPTIONS]
       node examples/two-node/src/main.ts [OPTIONS]

Starts a lock server, pull proxies and a slow registry, lets nodes pull the same image at the same moment, and shows
that the registry sends every byte once: also when the node that fetches is killed in the middle of a layer.

Options:
  --upstream URL     pull from this registry, e.g. https://registry-1.docker.io (default: one of the demo's own)
  --image REPO:TAG   what to pull from it, e.g. library/python:3; only with --upstream
  --containerd       let real containerd daemons pull; needs root and containerd
  --help             print this

Exit status: 0 when all that it shows is true, 1 when something is not, 2 for wrong usage or missing programs.
On a terminal there are progress bars, elsewhere plain lines; NO_COLOR=1 is respected.
`

/** Reads the command line. @throws {UsageError} */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { help, containerd, upstream, image } = parseFlags(args)
  if (help) return { help, containerd, upstream: undefined }
  if ((upstream === undefined) !== (image === undefined)) {
    throw new UsageError('--upstream and --image go together: a registry, and what to pull from it')
  }
  if (upstream === undefined || image === undefined) return { help, containerd, upstream: undefined }
  return { help, containerd, upstream: { url: parseRegistryUrl(upstream), image: parseImage(image) } }
}

interface Flags {
  readonly help: boolean
  readonly containerd: boolean
  readonly upstream?: string
  readonly image?: string
}

function parseFlags(args: readonly string[]): Flags {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        containerd: { type: 'boolean', default: false },
        upstream: { type: 'string' },
        image: { type: 'string' },
      },
    })
    return values
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function parseRegistryUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--upstream ${text}: expected a URL such as https://registry-1.docker.io`)
  }
  return url
}

function parseImage(text: string): ImageReference {
  const [, repository, tag] = /^([a-z0-9]+(?:[._/-]+[a-z0-9]+)*):(\w[\w.-]{0,127})$/.exec(text) ?? []
  if (repository === undefined || tag === undefined) {
    throw new UsageError(`--image ${text}: expected REPOSITORY:TAG without a host, such as library/python:3`)
  }
  return { repository, tag }
}
