import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { request } from 'undici'

import { type RunningProcess, startProcess } from './child-process.ts'
import { configOfAuth, type DockerRegistryAuth, pushAuthorization, writeHtpasswd } from './docker-registry-auth.ts'
import { freePort } from './free-port.ts'
import type { Image, ImageFile } from './image.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A `docker-registry` process (distribution) of a test's own. */
export interface DockerRegistry extends AsyncDisposable {
  readonly process: RunningProcess
  /** Without a slash at the end. */
  readonly url: string
  /** `host:port`. */
  readonly host: string
  /** Puts an image there as it is, so that every digest stays. */
  pushImage(image: Image, destination: { readonly repository: string; readonly tag: string }): Promise<void>
  /** Lets in with basic authentication whom its users are now, after they were changed. */
  rereadUsers(): Promise<void>
}

/** How to start it. */
export interface DockerRegistryOptions {
  /** URL of a registry for which to be a pull-through cache. Default: none, a registry to push to. */
  readonly proxyOf?: string | undefined
  /** Default: open to all. */
  readonly auth?: DockerRegistryAuth | undefined
}

/** Starts Debian's `docker-registry` on a free port, with an empty folder. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  await using stack = new AsyncDisposableStack()
  const { path: folder } = stack.use(await temporaryFolder('registry'))
  const host = `127.0.0.1:${await freePort()}`
  const url = `http://${host}`
  const config = join(folder, 'config.yml')
  const { auth } = options
  const authConfig = auth === undefined ? '' : await configOfAuth(folder, auth)
  await writeFile(config, configOf(folder, host, options) + authConfig)
  const process = stack.use(
    await startProcess({
      command: 'docker-registry',
      args: ['serve', config],
      env: { OTEL_TRACES_EXPORTER: 'none' },
      readyWhen: /listening on/,
    }),
  )
  const owned = stack.move()
  return {
    process,
    url,
    host,
    async pushImage({ blobs, manifests }, { repository, tag }) {
      const authorization = auth === undefined ? {} : { authorization: pushAuthorization(auth, repository) }
      const base: PushTarget = { url: `${url}/v2/${repository}`, headers: authorization }
      for (const blob of blobs) await pushBlob(base, blob)
      // The index last: a registry refuses one whose manifests it does not have.
      for (const manifest of manifests.toReversed()) await pushManifest(base, manifest, manifest.digest)
      await pushManifest(base, manifests[0]!, tag)
    },
    async rereadUsers() {
      if (auth?.kind === 'basic') await writeHtpasswd(folder, auth.users)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configOf(folder: string, host: string, { proxyOf }: DockerRegistryOptions): string {
  // Without the purging of uploads, which a real one does hours later.
  return `
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: ${join(folder, 'data')}
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: ${host}
${proxyOf === undefined ? '' : `proxy:\n  remoteurl: ${proxyOf}\n`}`
}

/** A repository, and who pushes to it. */
interface PushTarget {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

async function pushBlob(base: PushTarget, { path, digest, size }: ImageFile): Promise<void> {
  const begun = await request(`${base.url}/blobs/uploads/`, { method: 'POST', headers: base.headers })
  await begun.body.dump()
  const location = begun.headers['location']
  if (begun.statusCode !== 202 || typeof location !== 'string') {
    throw new Error(`${base.url} does not take uploads: ${begun.statusCode}`)
  }
  const target = new URL(location, base.url)
  target.searchParams.set('digest', digest)
  await put({ ...base, url: target.href }, 'application/octet-stream', path, size)
}

async function pushManifest(base: PushTarget, { path, size, mediaType }: ImageFile, reference: string): Promise<void> {
  await put({ ...base, url: `${base.url}/manifests/${reference}` }, mediaType, path, size)
}

async function put({ url, headers }: PushTarget, mediaType: string, path: string, sizeBytes: number): Promise<void> {
  const { statusCode, body } = await request(url, {
    method: 'PUT',
    headers: { ...headers, 'content-type': mediaType, 'content-length': String(sizeBytes) },
    body: createReadStream(path),
  })
  const answer = await body.text()
  if (statusCode !== 201) throw new Error(`PUT ${url} was answered ${statusCode}: ${answer}`)
}
