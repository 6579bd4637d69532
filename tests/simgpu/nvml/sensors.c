/*
 * sensors.c - clocks, temperature, power and the PCI Express link.
 *
 * A simulated device has no physics. These readings follow from how busy the device was in
 * the last sampling period, so that what displays or records them has something to show;
 * nothing else in the simulation depends on them.
 */
#include "nvml/nvml_state.h"

enum {
	CLOCK_SM_MHZ = 1500,
	CLOCK_IDLE_MHZ = 300,
	CLOCK_MEMORY_MHZ = 2600,
	CLOCK_VIDEO_MHZ = 1200,
	IDLE_CELSIUS = 35,
	BUSY_CELSIUS = 65,
	IDLE_MW = 60000,
	LIMIT_MW = 300000,
	MIN_LIMIT_MW = 100000,
	PCIE_GENERATION = 4,
	PCIE_WIDTH = 16
};

/* Answers with low + (high - low) * how busy the device was, from 0 to 1. */
static enum nvml_return give_by_load(nvmlDevice_t device, unsigned *out, unsigned low,
				     unsigned high)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_SAMPLES);
	uint64_t busy_ns, period_ns;

	if (res)
		return res;
	busy_ns = nvml_last_sample(&call).gpu_ns;
	period_ns = call.truth->period_ns;
	nvml_end(&call);
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	*out = low;
	if (period_ns)
		*out += (unsigned)((high - low) * busy_ns / period_ns);
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor,
					  unsigned *celsius)
{
	unsigned value;
	enum nvml_return res = give_by_load(device, &value, IDLE_CELSIUS, BUSY_CELSIUS);

	if (res)
		return res;
	if (sensor != 0 || !celsius)
		return NVML_ERROR_INVALID_ARGUMENT;
	*celsius = value;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetTemperatureV(nvmlDevice_t device,
					   struct nvml_temperature *reading)
{
	unsigned value;
	enum nvml_return res = give_by_load(device, &value, IDLE_CELSIUS, BUSY_CELSIUS);

	if (res)
		return res;
	if (!reading || reading->sensor != 0)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (reading->version != NVML_VERSION(struct nvml_temperature, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	reading->celsius = (int)value;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device,
						   unsigned threshold, unsigned *celsius)
{
	static const unsigned thresholds[] = { [NVML_THRESHOLD_SHUTDOWN] = 95,
					       [NVML_THRESHOLD_SLOWDOWN] = 90,
					       [NVML_THRESHOLD_MEM_MAX] = 95,
					       [NVML_THRESHOLD_GPU_MAX] = 85 };
	unsigned unused;
	enum nvml_return res = nvml_give(device, &unused, 0);

	if (res)
		return res;
	if (threshold >= sizeof(thresholds) / sizeof(thresholds[0]))
		return NVML_ERROR_NOT_SUPPORTED;
	return nvml_give(device, celsius, thresholds[threshold]);
}

/* ---- power ---- */

enum nvml_return nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts)
{
	return give_by_load(device, milliwatts, IDLE_MW, LIMIT_MW);
}

enum nvml_return nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device,
						     unsigned long long *millijoules)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	double age_s, busy_s;

	if (res)
		return res;
	age_s = (double)(call.truth->now_ns - call.device->since_ns) / 1e9;
	busy_s = (double)call.device->busy_ns / 1e9;
	nvml_end(&call);
	if (!millijoules)
		return NVML_ERROR_INVALID_ARGUMENT;
	*millijoules = (unsigned long long)(IDLE_MW * age_s +
					    (LIMIT_MW - IDLE_MW) * busy_s);
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, unsigned *mode)
{
	return nvml_give(device, mode, NVML_ENABLED);
}

enum nvml_return nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device,
						   unsigned *milliwatts)
{
	return nvml_give(device, milliwatts, LIMIT_MW);
}

enum nvml_return nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device,
							  unsigned *milliwatts)
{
	return nvml_give(device, milliwatts, LIMIT_MW);
}

enum nvml_return nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device,
						 unsigned *milliwatts)
{
	return nvml_give(device, milliwatts, LIMIT_MW);
}

enum nvml_return nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device,
							      unsigned *min,
							      unsigned *max)
{
	enum nvml_return res = nvml_give(device, min, MIN_LIMIT_MW);

	return res ? res : nvml_give(device, max, LIMIT_MW);
}

/* ---- clocks ---- */

/* P0 while it works, P8 when idle. */
static enum nvml_return give_state(nvmlDevice_t device, unsigned *state)
{
	unsigned load = 0;
	enum nvml_return res = give_by_load(device, &load, 0, 1000000);

	return res ? res : nvml_give(device, state, load ? 0 : 8);
}

enum nvml_return nvmlDeviceGetPerformanceState(nvmlDevice_t device, unsigned *state)
{
	return give_state(device, state);
}

enum nvml_return nvmlDeviceGetPowerState(nvmlDevice_t device, unsigned *state)
{
	return give_state(device, state);
}

static enum nvml_return give_clock(nvmlDevice_t device, unsigned clock, unsigned *mhz,
				   bool fastest)
{
	static const unsigned clocks[] = { [NVML_CLOCK_GRAPHICS] = CLOCK_SM_MHZ,
					   [NVML_CLOCK_SM] = CLOCK_SM_MHZ,
					   [NVML_CLOCK_MEM] = CLOCK_MEMORY_MHZ,
					   [NVML_CLOCK_VIDEO] = CLOCK_VIDEO_MHZ };
	unsigned load = 0;
	enum nvml_return res = give_by_load(device, &load, 0, 1000000);

	if (res)
		return res;
	if (clock >= sizeof(clocks) / sizeof(clocks[0]))
		return NVML_ERROR_INVALID_ARGUMENT;
	return nvml_give(device, mhz, fastest || load ? clocks[clock] : CLOCK_IDLE_MHZ);
}

enum nvml_return nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned clock,
					unsigned *mhz)
{
	return give_clock(device, clock, mhz, false);
}

enum nvml_return nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned clock,
					   unsigned *mhz)
{
	return give_clock(device, clock, mhz, true);
}

enum nvml_return nvmlDeviceGetClock(nvmlDevice_t device, unsigned clock, unsigned id,
				    unsigned *mhz)
{
	enum nvml_return res = give_clock(device, clock, mhz, false);

	/* 0 is the present clock; the others belong to settings there are not. */
	return res == NVML_SUCCESS && id != 0 ? NVML_ERROR_NOT_SUPPORTED : res;
}

/* Bit 0: the clocks are low because the device is idle. */
static enum nvml_return give_reasons(nvmlDevice_t device, unsigned long long *reasons,
				     bool supported)
{
	unsigned load = 0;
	enum nvml_return res = give_by_load(device, &load, 0, 1000000);

	if (res)
		return res;
	if (!reasons)
		return NVML_ERROR_INVALID_ARGUMENT;
	*reasons = supported || !load;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
							   unsigned long long *reasons)
{
	return give_reasons(device, reasons, false);
}

enum nvml_return nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device,
							     unsigned long long *reasons)
{
	return give_reasons(device, reasons, true);
}

enum nvml_return nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
							unsigned long long *reasons)
{
	return give_reasons(device, reasons, false);
}

enum nvml_return nvmlDeviceGetSupportedClocksEventReasons(nvmlDevice_t device,
							  unsigned long long *reasons)
{
	return give_reasons(device, reasons, true);
}

enum nvml_return nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned *fans)
{
	return nvml_give(device, fans, 0);
}

/* ---- PCI Express ---- */

enum nvml_return nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device,
						    unsigned *generation)
{
	return nvml_give(device, generation, PCIE_GENERATION);
}

enum nvml_return nvmlDeviceGetGpuMaxPcieLinkGeneration(nvmlDevice_t device,
						       unsigned *generation)
{
	return nvml_give(device, generation, PCIE_GENERATION);
}

enum nvml_return nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device,
						     unsigned *generation)
{
	return nvml_give(device, generation, PCIE_GENERATION);
}

enum nvml_return nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
	return nvml_give(device, width, PCIE_WIDTH);
}

enum nvml_return nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
	return nvml_give(device, width, PCIE_WIDTH);
}

enum nvml_return nvmlDeviceGetPcieReplayCounter(nvmlDevice_t device, unsigned *count)
{
	return nvml_give(device, count, 0);
}

enum nvml_return nvmlDeviceGetPcieThroughput(nvmlDevice_t device, unsigned counter,
					     unsigned *kilobytes_per_s)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_SAMPLES);
	struct simgpu_sample sample;
	double busy;

	if (res)
		return res;
	sample = nvml_last_sample(&call);
	/* 0: what the device sends, 1: what it receives */
	busy = (double)(counter == 0 ? sample.copy_out_ns : sample.copy_in_ns);
	if (call.truth->period_ns)
		busy /= (double)call.truth->period_ns;
	nvml_end(&call);
	if (counter > 1 || !kilobytes_per_s)
		return NVML_ERROR_INVALID_ARGUMENT;
	*kilobytes_per_s = (unsigned)(busy * (double)call.hello.copy_bytes_per_s / 1000);
	return NVML_SUCCESS;
}
