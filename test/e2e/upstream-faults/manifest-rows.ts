import { type FaultRow, LONG_PAUSE_S, PATIENT } from './fault-row.ts'

const WHOLE_TWICE = ['whole', 'whole'] as const

/** What goes wrong with a tag or a manifest. */
export const MANIFEST_ROWS: readonly FaultRow[] = [
  ...(['tag', 'manifest'] as const).flatMap((at): FaultRow[] => [
    {
      name: 'refused with 401',
      at,
      always: { kind: 'status', status: 401 },
      asked: ['whole'],
      outcome: { status: 401, code: 'UNAUTHORIZED' },
    },
    {
      name: 'refused with 403',
      at,
      always: { kind: 'status', status: 403 },
      asked: ['whole'],
      outcome: { status: 403, code: 'DENIED' },
    },
    {
      name: 'refused with 404',
      at,
      always: { kind: 'status', status: 404 },
      asked: ['whole'],
      outcome: { status: 404, code: 'MANIFEST_UNKNOWN' },
    },
    {
      name: 'limited with 429 for a second',
      at,
      faults: [{ kind: 'status', status: 429, headers: { 'Retry-After': '1' } }],
      asked: WHOLE_TWICE,
    },
    {
      name: 'limited with 429 for a long time',
      at,
      faults: [{ kind: 'status', status: 429, headers: { 'Retry-After': `${LONG_PAUSE_S}` } }],
      asked: ['whole'],
      outcome: { status: 429, code: 'TOOMANYREQUESTS', retryAfter: true },
      pauseMs: LONG_PAUSE_S * 1_000,
      clients: PATIENT,
    },
    { name: 'failing with 500 once', at, faults: [{ kind: 'status', status: 500 }], asked: WHOLE_TWICE },
    {
      name: 'failing with 503 for ever',
      at,
      always: { kind: 'status', status: 503 },
      asked: ['whole', 'whole', 'whole'],
      outcome: { status: 502, code: 'UNKNOWN' },
    },
    { name: 'silent once', at, faults: [{ kind: 'hang' }], asked: WHOLE_TWICE },
    { name: 'reset before the headers', at, faults: [{ kind: 'reset' }], asked: WHOLE_TWICE },
  ]),
  {
    name: 'closed at half',
    at: 'manifest',
    faults: [{ kind: 'cut', afterBytes: 200 }],
    // Registries serve manifests whole: what a Range brings is the whole again.
    asked: ['whole', 'rest'],
    copies: 2,
  },
  {
    name: 'sent with a wrong byte',
    at: 'manifest',
    faults: [{ kind: 'corrupt', offset: 5 }],
    asked: WHOLE_TWICE,
    copies: 2,
  },
  {
    name: 'longer and announced so',
    at: 'manifest',
    faults: [{ kind: 'longer', bytes: 50 }],
    asked: WHOLE_TWICE,
    copies: 2.2,
  },
  {
    name: 'shorter and announced so',
    at: 'manifest',
    faults: [{ kind: 'shorter', bytes: 50 }],
    asked: WHOLE_TWICE,
    copies: 2.2,
  },
]
