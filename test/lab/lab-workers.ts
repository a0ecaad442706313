/** How many files of tests run at once, each on a lab of its own. */
export const labWorkers = (): number => (process.env['GANTRY_LAB_DIR'] ? 1 : 2)
