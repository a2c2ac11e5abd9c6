import type { Entry } from './entry.ts'

type EntryOf<Type extends Entry['type']> = Extract<Entry, { type: Type }>

/** One call of a client with all that was seen of it. */
export interface CallHistory {
  readonly call: EntryOf<'call'>
  readonly queued: readonly EntryOf<'queued'>[]
  readonly granted: EntryOf<'granted'> | undefined
  readonly writes: readonly EntryOf<'write'>[]
  readonly ending: EntryOf<'ending'> | undefined
  readonly ended: EntryOf<'ended'> | undefined
  readonly result: EntryOf<'result'> | undefined
}

/** A call that was granted its key. */
export interface Hold extends CallHistory {
  readonly granted: EntryOf<'granted'>
}

/** What happened in one round, by call and by kind. */
export interface History {
  readonly entries: readonly Entry[]
  readonly calls: readonly CallHistory[]
  /** The holds of each key, by token. */
  readonly holds: ReadonlyMap<string, readonly Hold[]>
  readonly restarts: readonly EntryOf<'restarted'>[]
  readonly crashes: readonly EntryOf<'crash'>[]
  /** The sessions that were opened in this round. */
  readonly sessions: readonly EntryOf<'session'>[]
  readonly faults: readonly EntryOf<'fault'>[]
  /** Which processes were killed. */
  readonly killed: ReadonlySet<string>
}

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] }

/** Puts the lines of all processes together. */
export function readHistory(entries: readonly Entry[]): History {
  const sorted = entries.toSorted((one, other) => one.at - other.at)
  const calls = new Map<string, Mutable<CallHistory>>()
  for (const entry of sorted) if (entry.type === 'call') calls.set(entry.call, emptyCall(entry))
  for (const entry of sorted) if ('call' in entry) note(calls.get(entry.call), entry)
  const ofType = <Type extends Entry['type']>(type: Type) =>
    sorted.filter((entry): entry is EntryOf<Type> => entry.type === type)
  return {
    entries: sorted,
    calls: [...calls.values()],
    holds: holdsByKey([...calls.values()]),
    restarts: ofType('restarted'),
    crashes: ofType('crash'),
    sessions: ofType('session'),
    faults: ofType('fault'),
    killed: new Set(ofType('killed').map((entry) => entry.process)),
  }
}

function emptyCall(call: EntryOf<'call'>): CallHistory {
  const nothingYet = { granted: undefined, ending: undefined, ended: undefined, result: undefined }
  return { call, queued: [], writes: [], ...nothingYet }
}

function note(call: Mutable<CallHistory> | undefined, entry: Entry): void {
  if (call === undefined) return
  switch (entry.type) {
    case 'queued':
      call.queued = [...call.queued, entry]
      break
    case 'write':
      call.writes = [...call.writes, entry]
      break
    case 'granted':
      call.granted = entry
      break
    case 'ending':
      call.ending = entry
      break
    case 'ended':
      call.ended = entry
      break
    case 'result':
      call.result = entry
      break
    case 'call':
    case 'session':
    case 'crash':
    case 'fault':
    case 'killed':
    case 'restarted':
      break
  }
}

function holdsByKey(calls: readonly CallHistory[]): Map<string, Hold[]> {
  const holds = new Map<string, Hold[]>()
  for (const call of calls) {
    if (!isHold(call)) continue
    const ofKey = holds.get(call.call.key) ?? []
    holds.set(call.call.key, ofKey)
    ofKey.push(call)
  }
  for (const ofKey of holds.values()) ofKey.sort((one, other) => one.granted.token - other.granted.token)
  return holds
}

function isHold(call: CallHistory): call is Hold {
  return call.granted !== undefined
}

/** The last moment at which this holder surely believed that it held the key, and could act on it. */
export function lastHeldAt({ granted, writes }: Hold): number {
  return writes.at(-1)?.at ?? granted.at
}
