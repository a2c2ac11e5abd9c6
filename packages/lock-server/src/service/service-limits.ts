/** What one server takes on; more of it is refused, so that no client can fill its memory or its disk. */
export interface ServiceLimits {
  /** The most keys that may be known at a time; a call that would add one is refused as `overloaded`. Default 1,000,000. */
  readonly maxKeys: number
  /** The largest `value` of an outcome, in bytes of its JSON; a larger one is refused as `too_large`. Default 65,536. */
  readonly maxValueBytes: number
  /** The most live sessions; one more is refused as `overloaded`. Default 100,000. */
  readonly maxSessions: number
}

export const DEFAULT_SERVICE_LIMITS: ServiceLimits = Object.freeze({
  maxKeys: 1_000_000,
  maxValueBytes: 65_536,
  maxSessions: 100_000,
})
