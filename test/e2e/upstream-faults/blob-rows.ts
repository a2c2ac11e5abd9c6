import { type FaultRow, HALF_BYTES, LAYER_BYTES, LONG_PAUSE_S, PATIENT } from './fault-row.ts'

const EARLY = 100 * 1024
/** Within the last bytes, which are given out only when the digest is right. */
const LATE = LAYER_BYTES - 1_000
const WHOLE_TWICE = ['whole', 'whole'] as const
/** The client comes again by itself. */
const AGAIN = { asked: WHOLE_TWICE, copies: 2, outcome: 'served' } as const
const RESUMED = ['whole', 'rest'] as const
/** Bytes in flight that a reset destroys come again. */
const RESET_COPIES = 1.6

/** What goes wrong with a layer. */
export const BLOB_ROWS: readonly FaultRow[] = [
  // Refusals: upstream's own word, passed on at once.
  {
    name: 'refused with 401',
    at: 'layer',
    always: { kind: 'status', status: 401 },
    asked: ['whole'],
    outcome: { status: 401, code: 'UNAUTHORIZED' },
  },
  {
    name: 'refused with 403',
    at: 'layer',
    always: { kind: 'status', status: 403 },
    asked: ['whole'],
    outcome: { status: 403, code: 'DENIED' },
  },
  {
    name: 'refused with 404',
    at: 'layer',
    always: { kind: 'status', status: 404 },
    asked: ['whole'],
    outcome: { status: 404, code: 'BLOB_UNKNOWN' },
  },
  // Refusals that pass.
  {
    name: 'limited with 429 for a second',
    at: 'layer',
    faults: [{ kind: 'status', status: 429, headers: { 'Retry-After': '1' } }],
    asked: WHOLE_TWICE,
  },
  {
    name: 'limited with 429 without a time, once',
    at: 'layer',
    faults: [{ kind: 'status', status: 429 }],
    asked: WHOLE_TWICE,
  },
  {
    name: 'limited with 429 for a long time',
    at: 'layer',
    faults: [{ kind: 'status', status: 429, headers: { 'Retry-After': `${LONG_PAUSE_S}` } }],
    asked: ['whole'],
    outcome: { status: 429, code: 'TOOMANYREQUESTS', retryAfter: true },
    pauseMs: LONG_PAUSE_S * 1_000,
    clients: PATIENT,
  },
  ...[500, 503].map((status): FaultRow => ({
    name: `failing with ${status} once`,
    at: 'layer',
    faults: [{ kind: 'status', status }],
    asked: WHOLE_TWICE,
    copies: 1.01,
  })),
  ...[500, 503].map((status): FaultRow => ({
    name: `failing with ${status} for ever`,
    at: 'layer',
    always: { kind: 'status', status },
    asked: ['whole', 'whole', 'whole'],
    copies: 0.01,
    outcome: { status: 502, code: 'UNKNOWN' },
  })),
  // Silence and broken connections.
  {
    name: 'silent before the headers once',
    at: 'layer',
    faults: [{ kind: 'hang' }],
    asked: WHOLE_TWICE,
  },
  {
    name: 'silent before the headers for ever',
    at: 'layer',
    always: { kind: 'hang' },
    asked: ['whole', 'whole', 'whole'],
    outcome: { status: 502, code: 'UNKNOWN' },
  },
  { name: 'silent at half', at: 'layer', faults: [{ kind: 'hang', afterBytes: HALF_BYTES }], asked: RESUMED },
  {
    name: 'silent at half for ever',
    at: 'layer',
    // What each request that is answered brings is progress: here none after the first does.
    faults: [{ kind: 'hang', afterBytes: HALF_BYTES }, { kind: 'hang' }, { kind: 'hang' }, { kind: 'hang' }],
    asked: ['whole', 'rest', 'rest', 'rest'],
    outcome: 'cut',
    // It resumes, as a new request that the fault is over for.
    clients: { containerd: { asked: ['whole', 'rest', 'rest', 'rest', 'whole'], outcome: 'served', copies: 1.6 } },
  },
  { name: 'reset before the headers', at: 'layer', faults: [{ kind: 'reset' }], asked: WHOLE_TWICE },
  {
    name: 'reset at half',
    at: 'layer',
    faults: [{ kind: 'reset', afterBytes: HALF_BYTES }],
    asked: RESUMED,
    copies: RESET_COPIES,
  },
  { name: 'closed before the headers', at: 'layer', faults: [{ kind: 'cut' }], asked: WHOLE_TWICE },
  { name: 'closed at half', at: 'layer', faults: [{ kind: 'cut', afterBytes: HALF_BYTES }], asked: RESUMED },
  {
    name: 'closed again and again, each time a little further',
    at: 'layer',
    faults: Array.from({ length: 6 }, () => ({ kind: 'cut', afterBytes: EARLY }) as const),
    asked: ['whole', 'rest', 'rest', 'rest', 'rest', 'rest', 'rest'],
  },
  {
    name: 'closed at half, and resumed by an answer that ignores Range',
    at: 'layer',
    faults: [{ kind: 'cut', afterBytes: HALF_BYTES }, { kind: 'ignoreRange' }],
    asked: RESUMED,
    copies: 1.5,
  },
  // Wrong bytes and wrong lengths.
  {
    name: 'sent with a wrong byte',
    at: 'layer',
    faults: [{ kind: 'corrupt', offset: EARLY }],
    asked: ['whole'],
    outcome: 'cut',
    // containerd resumes after bytes that are wrong, and finds out at the end. Docker Engine begins anew then.
    clients: { containerd: { asked: WHOLE_TWICE, copies: 2 }, docker: AGAIN },
  },
  {
    name: 'sent with a wrong byte at the end, which is held back',
    at: 'layer',
    faults: [{ kind: 'corrupt', offset: LATE }],
    asked: ['whole'],
    outcome: 'cut',
    clients: { containerd: AGAIN, docker: AGAIN },
  },
  {
    name: 'longer than the manifest says, and announced so',
    at: 'layer',
    faults: [{ kind: 'longer', bytes: 5_000 }],
    asked: WHOLE_TWICE,
    copies: 2.01,
  },
  {
    name: 'longer than announced',
    at: 'layer',
    faults: [{ kind: 'longer', bytes: 5_000, announced: false }],
    asked: ['whole'],
    copies: 1.01,
  },
  {
    name: 'longer than the manifest says, without an announcement',
    at: 'layer',
    faults: [{ kind: 'longer', bytes: 5_000, announced: 'chunked' }],
    asked: ['whole'],
    copies: 1.01,
  },
  {
    name: 'shorter than the manifest says, and announced so',
    at: 'layer',
    faults: [{ kind: 'shorter', bytes: 5_000 }],
    asked: WHOLE_TWICE,
    copies: 2,
  },
  { name: 'sent without Content-Length', at: 'layer', faults: [{ kind: 'noContentLength' }], asked: ['whole'] },
  {
    name: 'dripping in, with pauses that are shorter than what counts as silence',
    at: 'layer',
    faults: [{ kind: 'drip', bytes: 32 * 1024, everyMs: 50 }],
    asked: ['whole'],
  },
  // Small content is held back as a whole, so that nobody has seen a byte of what was wrong.
  {
    name: 'sent with a wrong byte',
    at: 'config',
    faults: [{ kind: 'corrupt', offset: 5 }],
    asked: WHOLE_TWICE,
    copies: 2,
  },
  // The storage host that the registry redirects to.
  {
    name: 'refused with 403, because the signature has expired',
    at: 'storage',
    faults: [{ kind: 'status', status: 403 }],
    asked: WHOLE_TWICE,
  },
  {
    name: 'closed at half, and refused with 403 on the resume',
    at: 'storage',
    faults: [
      { kind: 'cut', afterBytes: HALF_BYTES },
      { kind: 'status', status: 403 },
    ],
    asked: ['whole', 'rest', 'rest'],
  },
  {
    name: 'refused with 403 for ever',
    at: 'storage',
    always: { kind: 'status', status: 403 },
    asked: ['whole', 'whole', 'whole'],
    outcome: { status: 502, code: 'UNKNOWN' },
  },
  { name: 'failing with 503 once', at: 'storage', faults: [{ kind: 'status', status: 503 }], asked: WHOLE_TWICE },
  { name: 'silent before the headers once', at: 'storage', faults: [{ kind: 'hang' }], asked: WHOLE_TWICE },
  { name: 'silent at half', at: 'storage', faults: [{ kind: 'hang', afterBytes: HALF_BYTES }], asked: RESUMED },
  {
    name: 'reset at half',
    at: 'storage',
    faults: [{ kind: 'reset', afterBytes: HALF_BYTES }],
    asked: RESUMED,
    copies: RESET_COPIES,
  },
  {
    name: 'closed at half, and resumed by an answer that ignores Range',
    at: 'storage',
    faults: [{ kind: 'cut', afterBytes: HALF_BYTES }, { kind: 'ignoreRange' }],
    asked: RESUMED,
    copies: 1.5,
  },
]
