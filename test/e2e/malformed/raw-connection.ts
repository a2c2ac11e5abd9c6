import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/** How a connection is ended once everything is written. */
export type Ending =
  /** By the server, which was asked to. */
  | 'server'
  /** This side says that nothing more follows, and waits for the server. */
  | 'halfClose'
  /** At once, whatever the server has to say. */
  | 'destroy'

/** What came back on a connection. */
export interface RawResult {
  readonly received: Buffer
  /** Undefined for a plain close. */
  readonly error: NodeJS.ErrnoException | undefined
}

/** Silence for so long is a hang: below the 65 s after which the proxy closes an idle connection by itself. */
const HANG_MS = 45_000

/**
 * Opens a connection, writes pieces one after another, and resolves when it is closed.
 *
 * @throws when the server can't be reached, or neither answers nor closes
 */
export async function exchangeRaw(url: string, pieces: readonly Buffer[], ending: Ending): Promise<RawResult> {
  const { hostname, port } = new URL(url)
  const received: Buffer[] = []
  let failure: NodeJS.ErrnoException | undefined
  let hangs = false
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const opened = new Promise<void>((resolve) => socket.once('connect', resolve))
  socket.setNoDelay(true)
  socket.on('data', (chunk) => received.push(chunk))
  socket.on('end', () => socket.end())
  socket.on('error', (error) => (failure = error))
  socket.setTimeout(HANG_MS, () => {
    hangs = true
    socket.destroy()
  })
  await Promise.race([opened, closed])
  for (const piece of pieces) {
    if (!socket.writable) break
    socket.write(piece)
    await turn()
  }
  if (ending === 'halfClose') socket.end()
  if (ending === 'destroy') socket.destroy()
  await closed
  if (hangs) throw new Error(`neither an answer nor a close for ${HANG_MS} ms`)
  if (failure?.code === 'ECONNREFUSED') throw failure
  return { received: Buffer.concat(received), error: failure }
}

/**
 * Splits what came on a connection into answers, and gives their statuses.
 *
 * @param heads for each request whether it was a `HEAD`
 * @throws when there is another number of whole answers, or anything else
 */
export function readStatuses(received: Buffer, heads: readonly boolean[]): number[] {
  const statuses: number[] = []
  let at = 0
  for (const isHead of heads) {
    const end = received.indexOf('\r\n\r\n', at)
    const head = received.toString('latin1', at, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    if (end === -1 || Number.isNaN(status)) {
      throw new Error(
        `answer ${statuses.length + 1} of ${heads.length} is missing: ${JSON.stringify(head.slice(0, 300))}`,
      )
    }
    statuses.push(status)
    at = end + 4
    if (!isHead && status !== 204 && status !== 304) at = endOfBody(received, at, head)
  }
  if (at !== received.length) throw new Error(`${received.length - at} bytes too many or too few after the answers`)
  return statuses
}

function endOfBody(received: Buffer, start: number, head: string): number {
  const length = /^content-length: (\d+)\r?$/im.exec(head)?.[1]
  if (length !== undefined) return start + Number(length)
  if (!/^transfer-encoding: chunked\r?$/im.test(head)) throw new Error(`an answer without a length: ${head}`)
  for (let at = start; ;) {
    const lineEnd = received.indexOf('\r\n', at)
    const size = Number.parseInt(received.toString('latin1', at, lineEnd), 16)
    if (lineEnd === -1 || Number.isNaN(size)) throw new Error('a chunked body breaks off')
    at = lineEnd + 2 + size + 2
    if (size === 0) return at
  }
}
