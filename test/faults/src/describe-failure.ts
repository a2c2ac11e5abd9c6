import type { FailedRound } from './campaign.ts'
import type { Entry } from './entry.ts'
import type { History } from './history.ts'

/** How many lines of history are shown; all of it is in the folder. */
const SHOWN_LINES = 80

/** What one needs to look into a round that broke a rule. */
export function describeFailure(
  { plan, violations, history, folder, serverOutput }: FailedRound,
  seed: number,
): string {
  const keys = new Set(violations.flatMap(({ key }) => key ?? []))
  const lines = history.entries.filter((entry) => concerns(entry, keys, history)).map((entry) => JSON.stringify(entry))
  return [
    `round ${plan.round} of seed ${seed} (again: pnpm faults --seed ${seed} --first ${plan.round} --rounds 1; the schedule`,
    'is the same then, how things fall in time is not)',
    `faults: ${JSON.stringify(plan.faults)}`,
    ...violations.map(({ rule, message }) => `BROKEN ${rule}: ${message}`),
    `history of ${[...keys].join(', ') || 'all keys'}${lines.length > SHOWN_LINES ? `, the last ${SHOWN_LINES} lines` : ''}:`,
    ...lines.slice(-SHOWN_LINES),
    `the server's last words: ${serverOutput}`,
    `all histories: ${folder}`,
  ].join('\n')
}

function concerns(entry: Entry, keys: ReadonlySet<string>, { calls }: History): boolean {
  if (entry.type === 'restarted' || entry.type === 'fault' || entry.type === 'killed' || entry.type === 'crash')
    return true
  if (keys.size === 0) return true
  if (entry.type === 'session') return false
  return calls.some(({ call }) => call.call === entry.call && keys.has(call.key))
}
