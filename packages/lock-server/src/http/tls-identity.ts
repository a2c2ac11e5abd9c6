import type { Server } from 'node:http'
import { type SecureContextOptions, Server as TlsServer } from 'node:tls'

/** A server's certificate, with those that lead to a root, and its key. Both PEM. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
}

/** TLS 1.2 at least, whatever Node was told on its command line. */
export function secureOptions({ cert, key }: TlsIdentity): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2' }
}

/** Has a server show another certificate from its next connection on. @throws when they do not belong together */
export function replaceIdentity(server: Server, identity: TlsIdentity): void {
  if (!(server instanceof TlsServer)) throw new TypeError('the server was started without TLS')
  server.setSecureContext(secureOptions(identity))
}
