package policy
const maxRuns = 1 << 16
