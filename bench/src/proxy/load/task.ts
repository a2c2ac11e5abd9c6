import { createHash } from 'node:crypto'
import { RawConnection, requestFor } from './raw-connection.ts'

/** What the process that makes the load is asked to do. */
export type Task =
  /** Reads one URL by so many clients, again and again, for a while. */
  | { readonly kind: 'read'; readonly url: string; readonly clients: number; readonly windowMs: number }
  /** Reads each URL once by a raw connection: the digest of its bytes. */
  | { readonly kind: 'check'; readonly url: string }
  /** How long the first byte of each body takes, one after another over one connection. */
  | { readonly kind: 'first-bytes'; readonly urls: readonly string[] }
  /** Downloads all URLs at once, each over a connection of its own, hashing. */
  | { readonly kind: 'pull'; readonly urls: readonly string[] }

export interface Reading {
  /** Bytes of bodies in the window. */
  readonly bytes?: number
  /** Whole answers in the window. */
  readonly answers?: number
  readonly windowMs?: number
  /** CPU time of the load itself. */
  readonly cpuMs?: number
  /** How long each answer took, or its first byte. */
  readonly samplesMs?: readonly number[]
  readonly digests?: readonly string[]
  /** Until the last one had everything. */
  readonly wallMs?: number
}

/** Kept small, so that it stays in the processor's cache. */
const BUFFER_BYTES = 256 * 1024

/** More are not kept: the rest tells nothing new. */
const MAX_SAMPLES = 50_000

export async function perform(task: Task): Promise<Reading> {
  switch (task.kind) {
    case 'read':
      return read(task)
    case 'check':
      return check(task.url)
    case 'first-bytes':
      return firstBytes(task.urls)
    case 'pull':
      return pull(task.urls)
  }
}

async function read({ url, clients, windowMs }: Extract<Task, { kind: 'read' }>): Promise<Reading> {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const { host, port, request } = requestFor(url)
  const samplesMs: number[] = []
  let bytes = 0
  let answers = 0
  const over = new AbortController()
  const onBody = (chunk: Buffer) => void (bytes += chunk.length)
  using connections = new DisposableStack()
  const loop = async () => {
    const connection = connections.use(new RawConnection({ host, port, buffer, onBody }))
    while (!over.signal.aborted) {
      const startMs = performance.now()
      await connection.ask(request)
      answers++
      if (samplesMs.length < MAX_SAMPLES) samplesMs.push(performance.now() - startMs)
    }
  }
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const { promise: end, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, windowMs)
  const loops = Promise.all(Array.from({ length: clients }, loop))
  await Promise.race([end, loops])
  const spentMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  const reading = { bytes, answers, windowMs: spentMs, cpuMs: (user + system) / 1_000, samplesMs: [...samplesMs] }
  over.abort()
  // What is under way is cut: nobody needs the rest.
  loops.catch(() => undefined)
  return reading
}

async function check(url: string): Promise<Reading> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const { host, port, request } = requestFor(url)
  using connection = new RawConnection({ host, port, buffer, onBody: (chunk) => void hash.update(chunk) })
  await connection.ask(request)
  return { digests: [`sha256:${hash.digest('hex')}`] }
}

async function firstBytes(urls: readonly string[]): Promise<Reading> {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const samplesMs: number[] = []
  let firstMs: number | undefined
  const onBody = () => void (firstMs ??= performance.now())
  const { host, port } = requestFor(urls[0]!)
  using connection = new RawConnection({ host, port, buffer, onBody })
  for (const url of urls) {
    firstMs = undefined
    const startMs = performance.now()
    await connection.ask(requestFor(url).request)
    samplesMs.push((firstMs ?? Number.NaN) - startMs)
  }
  return { samplesMs }
}

async function pull(urls: readonly string[]): Promise<Reading> {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const startMs = performance.now()
  const results = await Promise.all(
    urls.map(async (url) => {
      const hash = createHash('sha256')
      let firstMs = Infinity
      const onBody = (chunk: Buffer) => {
        firstMs = Math.min(firstMs, performance.now() - startMs)
        hash.update(chunk)
      }
      const { host, port, request } = requestFor(url)
      using connection = new RawConnection({ host, port, buffer, onBody })
      // What breaks off shows in the digest.
      await connection.ask(request).catch(() => undefined)
      return { firstMs, digest: `sha256:${hash.digest('hex')}` }
    }),
  )
  return {
    wallMs: performance.now() - startMs,
    digests: results.map(({ digest }) => digest),
    samplesMs: results.map(({ firstMs }) => firstMs),
  }
}
