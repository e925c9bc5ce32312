// Whether the component is at work. Before that a snapshot is taken of it, while nothing of the host's is there yet.

export const state = { started: false };
