import type { Claim, Coordinator, Lead } from './coordinator.ts'

const LEAD: Lead = {
  completed: () => Promise.resolve(),
  failed: () => Promise.resolve(),
  released: () => Promise.resolve(),
}

const CLAIM: Claim = {
  ask: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  next: () => Promise.resolve({ kind: 'lead', lead: LEAD }),
  insist: () => undefined,
  forget: () => Promise.resolve(),
  arrived: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

/** For a proxy without a lock server: there is nobody to ask, and every flight is granted. */
export const soloCoordinator: Coordinator = {
  claim: () => CLAIM,
  share: (_key, work) => work(),
  withdraw: () => Promise.resolve(),
  status: () => ({ degradedPulls: 0, degraded: false }),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}
