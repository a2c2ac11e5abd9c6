const unitNames = ['B', 'KiB', 'MiB', 'GiB']

/** Bytes for humans, e.g. `11.0 MiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(unitNames.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${unitNames[power]}`
}

/** A duration for humans, e.g. `3.0 s`; short ones with more digits, so that none looks like nothing. */
export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 100 ? 2 : 1)} s`
}

/** A ratio with two digits: `1.00` is what this is all about. */
export function formatRatio(ratio: number): string {
  return ratio.toFixed(2)
}
