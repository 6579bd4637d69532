/*
 * utilization.c - how busy a device was, as the driver's sensors tell it.
 *
 * The device process keeps samples of the last 72 periods of a sixth of a second (see
 * struct simgpu_sample). So the habits are a driver's: whole per cent, of complete periods
 * only, up to a period late; per process one sample, the newest, of those that are newer than
 * the caller has seen; no sample for who did nothing; NVML_ERROR_NOT_FOUND when nothing is
 * newer. "Memory" is the share of time in which copies ran: the simulation does not know
 * which bytes a kernel touches.
 */
#include "nvml/nvml_state.h"

enum { PERIODS = 72 };

unsigned nvml_percent(uint64_t part_ns, uint64_t whole_ns)
{
	uint64_t percent;

	if (whole_ns == 0)
		return 0;
	percent = (uint64_t)((double)part_ns * 100 / (double)whole_ns + 0.5);
	return percent > 100 ? 100 : (unsigned)percent;
}

static unsigned gpu_percent(const struct nvml_call *call,
			    const struct simgpu_sample *sample)
{
	return nvml_percent(sample->gpu_ns, call->truth->period_ns);
}

/* The two directions run side by side; half the link's time is one of them at full speed. */
static unsigned copy_percent(const struct nvml_call *call,
			     const struct simgpu_sample *sample)
{
	return nvml_percent(sample->copy_in_ns + sample->copy_out_ns,
			    2 * call->truth->period_ns);
}

struct simgpu_sample nvml_last_sample(const struct nvml_call *call)
{
	const struct simgpu_truth *truth = call->truth;

	for (uint32_t i = truth->nsamples; i-- > 0;) {
		const struct simgpu_sample *sample = &truth->samples[i];

		/* The last complete period ended less than a period ago. */
		if (sample->end_ns + truth->period_ns <= truth->now_ns)
			break;
		if (sample->client == 0 && sample->device == call->index)
			return *sample;
	}
	return (struct simgpu_sample){ .device = call->index };
}

enum nvml_return nvmlDeviceGetUtilizationRates(nvmlDevice_t device,
					       struct nvml_utilization *rates)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_SAMPLES);

	if (res)
		return res;
	if (rates) {
		struct simgpu_sample sample = nvml_last_sample(&call);

		rates->gpu = gpu_percent(&call, &sample);
		rates->memory = copy_percent(&call, &sample);
	}
	nvml_end(&call);
	return rates ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* There are no video engines: they are never busy. */
static enum nvml_return give_engine(nvmlDevice_t device, unsigned *rate,
				    unsigned *period_us)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);
	unsigned us;

	if (res)
		return res;
	us = (unsigned)(call.truth->period_ns / 1000);
	nvml_end(&call);
	if (!rate || !period_us)
		return NVML_ERROR_INVALID_ARGUMENT;
	*rate = 0;
	*period_us = us;
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned *rate,
						 unsigned *period_us)
{
	return give_engine(device, rate, period_us);
}

enum nvml_return nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned *rate,
						 unsigned *period_us)
{
	return give_engine(device, rate, period_us);
}

enum nvml_return nvmlDeviceGetJpgUtilization(nvmlDevice_t device, unsigned *rate,
					     unsigned *period_us)
{
	return give_engine(device, rate, period_us);
}

enum nvml_return nvmlDeviceGetOfaUtilization(nvmlDevice_t device, unsigned *rate,
					     unsigned *period_us)
{
	return give_engine(device, rate, period_us);
}

/* ---- per process ---- */

/* Whether the sample is to be shown: of a client on this device, not zero, newer than seen,
 * and none of the same client is newer still. */
static bool is_wanted(const struct nvml_call *call, uint32_t at,
		      unsigned long long seen_us)
{
	const struct simgpu_truth *truth = call->truth;
	const struct simgpu_sample *sample = &truth->samples[at];

	if (sample->client == 0 || sample->device != call->index ||
	    nvml_time_us(sample->end_ns) <= seen_us ||
	    (gpu_percent(call, sample) == 0 && copy_percent(call, sample) == 0))
		return false;
	for (uint32_t i = at + 1; i < truth->nsamples; i++)
		if (truth->samples[i].client == sample->client &&
		    truth->samples[i].device == sample->device &&
		    (gpu_percent(call, &truth->samples[i]) ||
		     copy_percent(call, &truth->samples[i])))
			return false;
	return true;
}

/* Begins an answer of samples: how many there are into *count, or why there is none. */
static enum nvml_return begin_samples(struct nvml_call *call, nvmlDevice_t device,
				      unsigned *count, const void *out,
				      unsigned long long seen_us)
{
	enum nvml_return res = nvml_begin(call, device, NVML_BOOKS_SAMPLES);
	unsigned room, there = 0;

	if (res)
		return res;
	if (!count) {
		nvml_end(call);
		return NVML_ERROR_INVALID_ARGUMENT;
	}
	for (uint32_t i = 0; i < call->truth->nsamples; i++)
		there += is_wanted(call, i, seen_us);
	room = out ? *count : 0;
	*count = there;
	if (there == 0)
		res = NVML_ERROR_NOT_FOUND;
	else if (there > room)
		res = NVML_ERROR_INSUFFICIENT_SIZE;
	if (res)
		nvml_end(call);
	return res;
}

enum nvml_return nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
						 struct nvml_process_sample *samples,
						 unsigned *count,
						 unsigned long long last_seen_us)
{
	struct nvml_call call;
	enum nvml_return res = begin_samples(&call, device, count, samples, last_seen_us);

	if (res)
		return res;
	for (uint32_t i = 0; i < call.truth->nsamples; i++) {
		const struct simgpu_sample *sample = &call.truth->samples[i];

		if (!is_wanted(&call, i, last_seen_us))
			continue;
		*samples++ = (struct nvml_process_sample){
			.pid = (unsigned)sample->pid,
			.time_us = nvml_time_us(sample->end_ns),
			.sm = gpu_percent(&call, sample),
			.memory = copy_percent(&call, sample),
		};
	}
	nvml_end(&call);
	return NVML_SUCCESS;
}

enum nvml_return nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
						       struct nvml_processes_usage *info)
{
	struct nvml_process_usage *out;
	struct nvml_call call;
	enum nvml_return res;
	unsigned index = 0;

	res = nvml_check(device, &index);
	if (res)
		return res;
	if (!info)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (info->version != NVML_VERSION(struct nvml_processes_usage, 1))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	out = info->usage;
	res = begin_samples(&call, device, &info->count, out, info->last_seen_us);
	if (res)
		return res;
	for (uint32_t i = 0; i < call.truth->nsamples; i++) {
		const struct simgpu_sample *sample = &call.truth->samples[i];

		if (!is_wanted(&call, i, info->last_seen_us))
			continue;
		*out++ = (struct nvml_process_usage){
			.time_us = nvml_time_us(sample->end_ns),
			.pid = (unsigned)sample->pid,
			.sm = gpu_percent(&call, sample),
			.memory = copy_percent(&call, sample),
		};
	}
	nvml_end(&call);
	return NVML_SUCCESS;
}

/* ---- the whole buffer ---- */

/* The end of the newest complete period, by the rows there are or else by the device's age. */
static uint64_t newest_end(const struct simgpu_truth *truth)
{
	uint64_t grid = truth->nsamples ? truth->samples[truth->nsamples - 1].end_ns
					: truth->started_ns;

	return grid + (truth->now_ns - grid) / truth->period_ns * truth->period_ns;
}

static unsigned device_percent(const struct nvml_call *call, uint64_t end_ns,
			       unsigned kind)
{
	for (uint32_t i = 0; i < call->truth->nsamples; i++) {
		const struct simgpu_sample *sample = &call->truth->samples[i];

		if (sample->end_ns == end_ns && sample->client == 0 &&
		    sample->device == call->index)
			return kind == NVML_SAMPLES_GPU ? gpu_percent(call, sample)
							: copy_percent(call, sample);
	}
	return 0;
}

enum nvml_return nvmlDeviceGetSamples(nvmlDevice_t device, unsigned kind,
				      unsigned long long last_seen_us, unsigned *type,
				      unsigned *count, struct nvml_sample *samples)
{
	uint64_t first_ns, newest_ns, period_ns;
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_SAMPLES);
	unsigned room, there = 0;

	if (res)
		return res;
	period_ns = call.truth->period_ns;
	if (!type || !count)
		res = NVML_ERROR_INVALID_ARGUMENT;
	else if ((kind != NVML_SAMPLES_GPU && kind != NVML_SAMPLES_MEMORY) || !period_ns)
		res = NVML_ERROR_NOT_SUPPORTED;
	if (res)
		goto out;
	*type = NVML_VALUE_UINT;
	room = samples ? *count : 0;
	newest_ns = newest_end(call.truth);
	first_ns = newest_ns;
	while (there < PERIODS && first_ns > call.truth->started_ns &&
	       nvml_time_us(first_ns) > last_seen_us) {
		there++;
		first_ns -= period_ns;
	}
	*count = there;
	if (there == 0)
		res = NVML_ERROR_NOT_FOUND;
	else if (samples && there > room)
		res = NVML_ERROR_INSUFFICIENT_SIZE;
	for (unsigned i = 0; res == NVML_SUCCESS && samples && i < there; i++) {
		uint64_t end_ns = newest_ns - (there - 1 - i) * period_ns;

		samples[i].time_us = nvml_time_us(end_ns);
		samples[i].value.ull = 0;
		samples[i].value.u = device_percent(&call, end_ns, kind);
	}
out:
	nvml_end(&call);
	return res;
}
