/** The version of this package; a test keeps it that of package.json. */
export const VERSION = '0.1.0'
