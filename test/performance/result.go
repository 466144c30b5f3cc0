package main

// result is what a run measured: the JSON object at the end of its output. Times are in seconds. What was not measured is 0.
type result struct {
	N       int      `json:"n"`
	Create  creation `json:"create"`
	Upgrade upgrade  `json:"upgrade"`
	Idle    idle     `json:"idle"`
	Restart restart  `json:"restart"`
	Paced   paced    `json:"paced"`
	// RSSMiB is the most memory that the operator had from its start to the end of its idle time: its peak resident set.
	RSSMiB float64 `json:"rssMiB"`
	// CPUSeconds is the CPU time of the operator in all phases.
	CPUSeconds float64 `json:"cpuSeconds"`
	// LoadAverage is that of the machine before the run, over a minute: other work spoils the figures.
	LoadAverage float64 `json:"loadAverage"`
	// cluster says that it was a cluster that was there before, which the limits of most targets are not for.
	cluster bool
}

// cost is what the operator spent in a phase, for each GinService.
type cost struct {
	WritesPerService    float64 `json:"writesPerService"`
	EventsPerService    float64 `json:"eventsPerService"`
	ReadsPerService     float64 `json:"readsPerService"`
	CPUMillisPerService float64 `json:"cpuMillisPerService"`
	// PassesPerService is how often the operator looked at a GinService.
	PassesPerService float64 `json:"passesPerService"`
	// Requests are those per GinService by verb and resource.
	Requests map[string]float64 `json:"requests"`
}

// creation is the creation of all GinServices.
type creation struct {
	// Seconds is from the first creation until all are Ready, FloorSeconds until all Deployments of the floor are available.
	Seconds            float64 `json:"seconds"`
	FloorSeconds       float64 `json:"floorSeconds"`
	Ratio              float64 `json:"ratio"`
	PerSecond          float64 `json:"perSecond"`
	ReadyP50Seconds    float64 `json:"readyP50Seconds"`
	ReadyP99Seconds    float64 `json:"readyP99Seconds"`
	FloorReadyP50      float64 `json:"floorReadyP50Seconds"`
	FloorReadyP99      float64 `json:"floorReadyP99Seconds"`
	ChildrenPerService float64 `json:"childrenPerService"`
	cost                       // until each is Ready
	Settle             settle  `json:"settle"`
}

// settle is what follows a phase until the operator comes to rest.
type settle struct {
	Seconds float64 `json:"seconds"`
	cost
}

// upgrade is the change of the image of all GinServices.
type upgrade struct {
	// Seconds is from the first change until all active Services select the new version.
	Seconds          float64 `json:"seconds"`
	FloorSeconds     float64 `json:"floorSeconds"`
	Ratio            float64 `json:"ratio"`
	PerSecond        float64 `json:"perSecond"`
	SwitchP50Seconds float64 `json:"switchP50Seconds"`
	SwitchP99Seconds float64 `json:"switchP99Seconds"`
	FloorSwitchP50   float64 `json:"floorSwitchP50Seconds"`
	FloorSwitchP99   float64 `json:"floorSwitchP99Seconds"`
	// ConfirmP99Seconds is from the switch until status says that the EndpointSlices show the new version alone.
	ConfirmP99Seconds float64 `json:"confirmP99Seconds"`
	// EndpointsToSwitch… is from the preview Service's EndpointSlices showing the new version to the active Service selecting it,
	// PreparedToSwitch… from the later of that and the Deployment being available, which is all that the operator waits for.
	EndpointsToSwitchP50Seconds float64 `json:"endpointsToSwitchP50Seconds"`
	EndpointsToSwitchP99Seconds float64 `json:"endpointsToSwitchP99Seconds"`
	PreparedToSwitchP99Seconds  float64 `json:"preparedToSwitchP99Seconds"`
	// CompletedSeconds is until the old version of all of them is scaled to zero.
	CompletedSeconds float64 `json:"completedSeconds"`
	// SettleSeconds is from then until the operator's last write.
	SettleSeconds float64 `json:"settleSeconds"`
	cost                  // until then
}

// idle is a time in which nothing changes.
type idle struct {
	Seconds    float64 `json:"seconds"`
	Writes     int     `json:"writes"`
	Events     int     `json:"events"`
	Reads      int     `json:"reads"`
	CPUSeconds float64 `json:"cpuSeconds"`
}

// restart is a new process of the operator, from its start until some time after it has looked at every GinService.
type restart struct {
	// Seconds is from the start until every GinService was looked at.
	Seconds float64 `json:"seconds"`
	Writes  int     `json:"writes"`
	Events  int     `json:"events"`
	// Reads are those that a cache did not answer. InformerRequests are the lists and watches that fill the caches.
	Reads            int     `json:"reads"`
	InformerRequests int     `json:"informerRequests"`
	CPUSeconds       float64 `json:"cpuSeconds"`
	RSSMiB           float64 `json:"rssMiB"`
}

// paced is the creation and upgrade of GinServices one by one, so that none waits for another.
type paced struct {
	N                      int     `json:"n"`
	PerSecond              float64 `json:"perSecond"`
	CreateP50Seconds       float64 `json:"createP50Seconds"`
	CreateP99Seconds       float64 `json:"createP99Seconds"`
	CreateFloorP50Seconds  float64 `json:"createFloorP50Seconds"`
	UpgradeP50Seconds      float64 `json:"upgradeP50Seconds"`
	UpgradeP99Seconds      float64 `json:"upgradeP99Seconds"`
	UpgradeFloorP50Seconds float64 `json:"upgradeFloorP50Seconds"`
	// PodsP50Seconds and PodsP99Seconds are from the change until the first pod of the new version exists.
	PodsP50Seconds float64 `json:"podsP50Seconds"`
	PodsP99Seconds float64 `json:"podsP99Seconds"`
}
