import type { Server } from 'node:http'
import { Server as TlsServer, type TlsOptions } from 'node:tls'
import type { ProxyTls } from '../proxy-options.ts'

/** A client that connects and says nothing keeps its connection for this long. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** What a server needs to speak https: TLS 1.2 at least, whatever Node was told on its command line, and HTTP/1.1 only. */
export function serverTls(tls: ProxyTls): TlsOptions {
  const isMutual = tls.clientCa !== undefined
  return {
    ...secureContext(tls),
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    requestCert: isMutual,
    rejectUnauthorized: isMutual,
  }
}

/**
 * Has a server show another certificate, and let in whom other ones have signed, from its next connection on.
 *
 * @throws {TypeError} when this changes whether it is TLS at all, or whether clients need certificates
 * @throws when certificate and key do not belong together
 */
export function replaceServerTls(server: Server, before: ProxyTls | undefined, tls: ProxyTls): void {
  if (!(server instanceof TlsServer) || before === undefined) {
    throw new TypeError('the proxy was started without TLS')
  }
  if ((before.clientCa === undefined) !== (tls.clientCa === undefined)) {
    throw new TypeError('whether clients need certificates is settled when the proxy starts')
  }
  server.setSecureContext(secureContext(tls))
}

function secureContext({ cert, key, clientCa }: ProxyTls) {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa === undefined ? {} : { ca: clientCa }) } as const
}
