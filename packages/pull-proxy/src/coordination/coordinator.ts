import type { ContentId } from '../oci/content-id.ts'
import type { OciError } from '../oci/oci-error.ts'
import type { Peer } from '../relay/peer.ts'
import type { Place } from '../upstream/request-gate.ts'

/** The right, and the duty, to fetch from upstream. Its methods never reject: coordination may fail, the fetch must not. */
export interface Lead {
  /** The blob is in this node's store. */
  completed(): Promise<void>
  /** It could not be fetched. */
  failed(error: OciError): Promise<void>
  /** It will not be fetched by this node, and that says nothing about the blob. */
  released(): Promise<void>
}

/** What this node should do for a blob now. */
export type ClaimAnswer =
  | { readonly kind: 'lead'; readonly lead: Lead }
  /** Another node fetches. Its bytes can be had meanwhile from `source`, if there is one. */
  | { readonly kind: 'follow'; readonly source: Peer | undefined }
  /** These nodes have it. */
  | { readonly kind: 'copies'; readonly copies: readonly Peer[]; readonly outcome: number }
  /** It cannot be fetched, as others have found out. */
  | { readonly kind: 'refused'; readonly error: OciError }

/** One wish of this node for one blob. Disposed when the wish is over; that leaves the queue. */
export interface Claim extends AsyncDisposable {
  /** What to do now. Never rejects but with the signal's reason: without coordination the answer is to lead. */
  ask(signal: AbortSignal): Promise<ClaimAnswer>
  /** Waits until there is something new to do, or for a while. Rejects when coordination is lost. */
  next(signal: AbortSignal): Promise<ClaimAnswer>
  /** None of the copies can be had: from now on outcomes are passed over. */
  insist(): void
  /** None of the copies is there any more: the outcome is forgotten, once, whoever else finds that too. */
  forget(outcome: number): Promise<void>
  /** This node has the blob now, though it did not lead. Never rejects. */
  arrived(): Promise<void>
}

export interface CoordinationStatus {
  /** Pulls that went on without the lock server since the start. */
  readonly degradedPulls: number
  /** Whether the lock server is away now. */
  readonly degraded: boolean
}

/** Decides, together with the other nodes, who fetches what. */
export interface Coordinator extends AsyncDisposable {
  /** @param group failures that concern this repository's credentials only are told within it */
  claim(id: ContentId, group: string): Claim
  /**
   * Does some work once for the cluster and shares its JSON result for a while; without coordination just does it.
   *
   * @throws what the work throws, here or on another node; {@link OciError} `UNKNOWN` when another takes too long with it
   */
  share<T>(key: string, work: SharedWork<T>, options: ShareOptions): Promise<Shared<T>>
  /** Leaves a JSON value for the whole cluster, for a while, unless what is there is better. Never rejects. */
  publish(key: string, value: unknown, retainMs: number, unless?: (known: Shared<unknown>) => boolean): Promise<void>
  /** What was published or shared under a key last; undefined where there is nothing or nobody to ask. Never rejects. */
  lookUp(key: string): Promise<Shared<unknown> | undefined>
  /** Takes one of the cluster's places at an upstream. Rejects with the signal's reason only. */
  takePlace(key: string, limit: number, signal: AbortSignal): Promise<Place>
  /** This node's store no longer has these. Never rejects. */
  withdraw(ids: readonly ContentId[]): Promise<void>
  status(): CoordinationStatus
}

/** @param isShared whether it is done for the cluster: otherwise others may do, or have done, the same */
export type SharedWork<T> = (isShared: boolean) => Promise<T>

/** A result, and how long ago it came about, in milliseconds. */
export interface Shared<T> {
  readonly value: T
  readonly ageMs: number
}

export interface ShareOptions {
  /** How long the result is shared with those who ask later, in milliseconds. */
  readonly retainMs: number
  readonly group: string
  /** A result of others that is none of these is forgotten, and the work done again. Default: all are. */
  readonly isGood?: ((value: unknown) => boolean) | undefined
  readonly signal: AbortSignal
}
