import { lookup } from 'node:dns/promises'
import type { AddressInfo } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { ListenAddress } from '../proxy-options.ts'

/** An address that cannot be listened on: it is taken, or not this machine's. */
class ListenError extends Error {
  override readonly name = 'ListenError'
  /** As the system has it, such as `EADDRINUSE`. */
  readonly code: string | undefined

  constructor(setting: string, { host, port }: ListenAddress, cause: NodeJS.ErrnoException) {
    super(`${setting}: cannot listen on ${host}:${port} (${cause.message})`, { cause })
    this.code = cause.code
  }
}

/**
 * Listens, and resolves with the URL.
 *
 * @param setting the option that gives the address, for the error
 * @throws {ListenError}
 */
export async function listenOn(app: FastifyInstance, address: ListenAddress, setting: string): Promise<string> {
  try {
    // One address: Fastify would open a server for each that a name has, and look after the first of them only.
    const { address: host } = await lookup(address.host)
    await app.listen({ host, port: address.port })
  } catch (error) {
    throw new ListenError(setting, address, error as NodeJS.ErrnoException)
  }
  return urlOf(app)
}

function urlOf(app: FastifyInstance): string {
  const { address, family, port: actual } = app.server.address() as AddressInfo
  const scheme = app.server instanceof TlsServer ? 'https' : 'http'
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${actual}`
}

/**
 * Stops taking connections and waits until the answers that are under way have gone out, for `drainMs` at the most.
 * Then cuts what is left with a plain close.
 */
export async function drainServers(apps: readonly FastifyInstance[], drainMs: number): Promise<void> {
  const closed = apps.map(({ server }) => {
    const closing = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    return closing
  })
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, drainMs)
  // A connection that was busy at first becomes idle later.
  const sweep = setInterval(() => apps.forEach(({ server }) => server.closeIdleConnections()), 100)
  await Promise.race([Promise.all(closed), late])
  clearTimeout(timer)
  clearInterval(sweep)
}
