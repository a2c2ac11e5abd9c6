import { Type, type Static, type TObject, type TProperties } from 'typebox'
import { ErrorBody } from './errors.ts'
import { Accepted, Acquire, AcquireAnswer, Cancel, Complete, Fail, Release, ReportProgress } from './lock.ts'

/** The most operations in one call. */
export const BATCH_MAX_OPS = 256

const { waitMs: _, ...acquireAtOnce } = Acquire.properties

function op<Name extends string, P extends TProperties>(name: Name, properties: P) {
  const named = { op: Type.Literal(name), key: Type.String(), ...properties }
  return Type.Object(named, { additionalProperties: false })
}

/** What can be done in a batch, by name. `acquire` has no `waitMs` here: one that waited would hold up all others. */
export const BATCH_OPS = {
  acquire: op('acquire', acquireAtOnce),
  complete: op('complete', Complete.properties),
  fail: op('fail', Fail.properties),
  release: op('release', Release.properties),
  cancel: op('cancel', Cancel.properties),
  progress: op('progress', ReportProgress.properties),
} as const satisfies Record<string, TObject>

/** The name of an operation that can be part of a batch. */
export type BatchOpName = keyof typeof BATCH_OPS
export type BatchOp = { [Name in BatchOpName]: Static<(typeof BATCH_OPS)[Name]> }[BatchOpName]

/** Operations of one session, each on a key of its own or not, carried out as if sent one by one at the same moment. */
export const Batch = Type.Object(
  { ops: Type.Array(Type.Union(Object.values(BATCH_OPS)), { maxItems: BATCH_MAX_OPS }) },
  { additionalProperties: false },
)
export interface Batch {
  readonly ops: readonly BatchOp[]
}

/** An answer for each operation, in their order: what the call of its own would have answered, refusals included. */
export const BatchAnswers = Type.Object({ answers: Type.Array(Type.Union([AcquireAnswer, Accepted, ErrorBody])) })
export type BatchAnswers = Static<typeof BatchAnswers>
