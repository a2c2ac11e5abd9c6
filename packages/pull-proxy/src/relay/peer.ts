import { type ContentId, digestOfId, domainOfId } from '../oci/content-id.ts'

/** Another node's pull proxy, by its peer API. */
export interface Peer {
  readonly node: string
  readonly endpoint: string
}

/** Why a peer was of no use: it has nothing, it cannot be reached or broke off, or its bytes were wrong. */
export type PeerFault = 'absent' | 'unreachable' | 'wrong'

export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly fault: PeerFault

  constructor(fault: PeerFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

/** The path of a blob in the peer API. */
export function peerBlobPath(digest: string): string {
  return `/peer/v1/blobs/${digest}`
}

/** Path and query by which content is asked for; what is not for all is named with its domain. */
export function peerContentPath(id: ContentId): string {
  const domain = domainOfId(id)
  const path = peerBlobPath(digestOfId(id))
  return domain === undefined ? path : `${path}?domain=${encodeURIComponent(domain)}`
}
