package redisbackplane

import "time"

// RefreshEvery has the hubs of a backplane, which must not have joined yet, write all their keys again in this period.
func (b *Backplane) RefreshEvery(d time.Duration) { b.refresh = d }
