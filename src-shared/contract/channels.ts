/** The two channels between the page and the main process; only the preload and the IPC adapter use them. */
export const callChannel = 'gantry:call'
export const eventChannel = 'gantry:event'
