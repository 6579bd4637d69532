/*
 * graph.c - executable graphs that allocate, and the memory of their devices. See graph.h.
 *
 * How much a graph may need is in graph_needs.c.
 */
#include "cuda/graph_private.h"

#include "cuda/room.h"

struct gsh_exec {
	struct gsh_exec *next; /* first: also the link of those that are prepared */
	uint64_t exec;	       /* CUgraphExec */
	uint64_t need;
	uint64_t mapped; /* epoch in which it had its memory, plus one; 0: it has none */
	int32_t row;
};

static struct gsh_graphs *graphs_if_any(void)
{
	/* Pairs with the exchange in gsh_pages_once(). */
	return gsh_load_acquire(&gsh_process->graphs);
}

/* ---- the memory of a device ---- */

static bool read_reserved(const struct gsh_graph_device *device, uint64_t *reserved)
{
	cuuint64_t value = 0;

	if (!gsh_driver.call_cuDeviceGetGraphMemAttribute ||
	    gsh_driver.call_cuDeviceGetGraphMemAttribute(
		    gsh_load_acquire(&device->ordinal) - 1,
		    CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &value) != CUDA_SUCCESS)
		return false;
	*reserved = value;
	return true;
}

/* Memory may have been taken for a graph that nothing was asked of. */
static void settle(struct gsh_graph_device *device)
{
	uint64_t reserved;

	gsh_lock(&device->growth.lock);
	if (read_reserved(device, &reserved))
		gsh_growth_correct(&device->growth, reserved);
	gsh_unlock(&device->growth.lock);
}

/* ---- executable graphs ---- */

static struct gsh_exec **bucket(struct gsh_graphs *graphs, uint64_t exec)
{
	return &graphs->execs[(exec * UINT64_C(0x9e3779b97f4a7c15)) >> 32 &
			      (GSH_GRAPH_BUCKETS - 1)];
}

bool gsh_graph_may_allocate(uint64_t handle)
{
	struct gsh_graphs *graphs = graphs_if_any();

	/* Whoever launches it was told of it, and has seen it entered. */
	return graphs && gsh_load_relaxed(bucket(graphs, handle)) != NULL;
}

static void drop_prepared(struct gsh_graphs *graphs, struct gsh_graph_needs *needs)
{
	while (needs->prepared) {
		struct gsh_exec *next = needs->prepared->next;

		gsh_pieces_give(&graphs->pieces, needs->prepared);
		needs->prepared = next;
	}
}

CUresult gsh_graph_needs(CUgraph graph, struct gsh_graph_needs *needs)
{
	struct gsh_graphs *graphs;
	CUresult res;

	needs->prepared = NULL;
	res = gsh_graph_sum(graph, needs);
	if (res == CUDA_ERROR_OUT_OF_MEMORY)
		return res;
	/* What the driver does not know it will not instantiate. */
	if (res != CUDA_SUCCESS || !needs->any)
		return CUDA_SUCCESS;
	graphs = gsh_pages_once((void **)&gsh_process->graphs, sizeof(*graphs));
	if (!graphs)
		return CUDA_ERROR_OUT_OF_MEMORY;
	gsh_lock(&graphs->lock);
	for (int row = 0; row < (int)GPUSHIM_DEVICES_MAX && res == CUDA_SUCCESS; row++) {
		struct gsh_exec *exec;

		if (needs->rows[row].bytes == 0)
			continue;
		exec = gsh_pieces_take(&graphs->pieces, sizeof(*exec));
		if (!exec) {
			res = CUDA_ERROR_OUT_OF_MEMORY;
			break;
		}
		exec->need = needs->rows[row].bytes;
		exec->row = row;
		exec->next = needs->prepared;
		needs->prepared = exec;
		if (gsh_load_relaxed(&graphs->devices[row].ordinal) != 0)
			continue;
		graphs->devices[row].growth.row = row;
		graphs->devices[row].growth.kind = GPUSHIM_KIND_GRAPH;
		/* Pairs with the loads of those who do not hold the lock. */
		gsh_store_release(&graphs->devices[row].ordinal,
				  needs->rows[row].ordinal + 1);
	}
	if (res != CUDA_SUCCESS)
		drop_prepared(graphs, needs);
	gsh_unlock(&graphs->lock);
	return res;
}

void gsh_graph_instantiated(struct gsh_graph_needs *needs, uint64_t handle)
{
	struct gsh_graphs *graphs = graphs_if_any();

	if (!needs->prepared)
		return;
	gsh_lock(&graphs->lock);
	while (handle && needs->prepared) {
		struct gsh_exec *exec = needs->prepared;

		settle(&graphs->devices[exec->row]);
		needs->prepared = exec->next;
		exec->exec = handle;
		exec->next = *bucket(graphs, handle);
		gsh_store_relaxed(bucket(graphs, handle), exec);
		gsh_add_relaxed(&graphs->count, 1);
	}
	drop_prepared(graphs, needs);
	gsh_unlock(&graphs->lock);
}

void gsh_graph_exec_destroyed(uint64_t handle)
{
	struct gsh_graphs *graphs = graphs_if_any();
	struct gsh_exec **at;

	if (!graphs)
		return;
	gsh_lock(&graphs->lock);
	at = bucket(graphs, handle);
	while (*at) {
		struct gsh_exec *exec = *at;

		if (exec->exec != handle) {
			at = &exec->next;
			continue;
		}
		gsh_store_relaxed(at, exec->next);
		gsh_pieces_give(&graphs->pieces, exec);
		gsh_sub_relaxed(&graphs->count, 1);
	}
	gsh_unlock(&graphs->lock);
}

/* ---- launching ---- */

/* Under the lock, both. */
static void open_epoch(struct gsh_graph_device *device)
{
	device->epoch++;
	device->openings++;
}

/* The call that opened it is over; in_vain: no memory has passed by it. */
static void close_epoch(struct gsh_graph_device *device, uint64_t epoch, bool in_vain)
{
	device->openings--;
	if (in_vain && device->epoch == epoch)
		device->epoch--;
}

/* Begins without a charge if the graph has its memory; else opens a new epoch. */
static bool cover(struct gsh_graph_device *device, struct gsh_graph_part *part)
{
	bool has_it;

	gsh_lock(&device->growth.lock);
	has_it = part->mapped == device->epoch + 1;
	if (has_it)
		gsh_growth_cover(&device->growth, part->call.need, &part->call);
	else
		open_epoch(device);
	part->epoch = device->epoch;
	part->alone = device->openings == 1;
	gsh_unlock(&device->growth.lock);
	return has_it;
}

static CUresult begin_part(struct gsh_graph_device *device, struct gsh_graph_part *part)
{
	struct gsh_room room = { 0 };
	CUresult res;

	do {
		if (cover(device, part))
			return CUDA_SUCCESS;
		res = gsh_growth_try(&device->growth, part->call.need, &part->call);
		if (res == CUDA_SUCCESS)
			return res;
		gsh_lock(&device->growth.lock);
		close_epoch(device, part->epoch, true);
		gsh_unlock(&device->growth.lock);
	} while (res == CUDA_ERROR_OUT_OF_MEMORY && gsh_room_make(&room, part->row));
	if (res == CUDA_ERROR_OUT_OF_MEMORY)
		gsh_charge_deny(part->call.need);
	return res;
}

/* Returns what to remember of the exec: its epoch plus one, or 0. */
static uint64_t end_part(struct gsh_graph_device *device, struct gsh_graph_part *part,
			 bool launched)
{
	uint64_t before, reserved, mapped = 0;
	bool alone, told, all_new;

	gsh_lock(&device->growth.lock);
	before = device->growth.reserved;
	alone = gsh_growth_finish(&device->growth, &part->call);
	told = read_reserved(device, &reserved);
	if (told)
		gsh_growth_correct(&device->growth, reserved);
	if (told && reserved < before)
		device->epoch++; /* the driver has released something by itself */
	/* All that it needed was new: nobody else has lost anything by it. */
	all_new = launched && told && alone && reserved == before + part->call.need;
	if (!part->call.covered) {
		/* Another that had or has an epoch open may take from this one. Nor is that
		 * certain of which a trim could not tell whether it has released it. */
		if (launched && told && part->alone && device->openings == 1 &&
		    device->epoch == part->epoch)
			mapped = device->epoch + !all_new;
		close_epoch(device, part->epoch, all_new && mapped);
	}
	gsh_unlock(&device->growth.lock);
	return mapped;
}

static CUresult begin_all(struct gsh_graphs *graphs, struct gsh_graph_launch *launch)
{
	CUresult res = CUDA_SUCCESS;
	uint32_t begun = 0;

	while (begun < launch->count && res == CUDA_SUCCESS) {
		struct gsh_graph_part *part = &launch->parts[begun];

		res = begin_part(&graphs->devices[part->row], part);
		if (res == CUDA_SUCCESS)
			begun++;
	}
	if (res != CUDA_SUCCESS) {
		launch->count = begun;
		gsh_graph_launch_end(launch, false);
	}
	return res;
}

CUresult gsh_graph_launch_begin(struct gsh_graph_launch *launch, uint64_t handle)
{
	struct gsh_graphs *graphs = graphs_if_any();

	launch->exec = handle;
	launch->count = 0;
	gsh_lock(&graphs->lock);
	for (struct gsh_exec *exec = *bucket(graphs, handle); exec; exec = exec->next)
		if (exec->exec == handle && launch->count < GPUSHIM_DEVICES_MAX)
			launch->parts[launch->count++] = (struct gsh_graph_part){
				.call = { .need = exec->need },
				.mapped = exec->mapped,
				.row = exec->row,
			};
	gsh_unlock(&graphs->lock);
	return begin_all(graphs, launch);
}

CUresult gsh_graph_upload_begin(struct gsh_graph_launch *launch,
				const struct gsh_graph_needs *needs)
{
	launch->exec = 0;
	launch->count = 0;
	for (const struct gsh_exec *exec = needs->prepared; exec; exec = exec->next)
		launch->parts[launch->count++] = (struct gsh_graph_part){
			.call = { .need = exec->need },
			.row = exec->row,
		};
	return launch->count ? begin_all(graphs_if_any(), launch) : CUDA_SUCCESS;
}

void gsh_graph_launch_end(struct gsh_graph_launch *launch, bool launched)
{
	struct gsh_graphs *graphs = graphs_if_any();

	for (uint32_t i = 0; i < launch->count; i++) {
		struct gsh_graph_part *part = &launch->parts[i];
		uint64_t mapped = end_part(&graphs->devices[part->row], part, launched);

		gsh_lock(&graphs->lock);
		for (struct gsh_exec *exec = *bucket(graphs, launch->exec); exec;
		     exec = exec->next)
			if (exec->exec == launch->exec && exec->row == part->row &&
			    mapped)
				exec->mapped = mapped;
		gsh_unlock(&graphs->lock);
	}
}

/* ---- giving back ---- */

static uint64_t trim(struct gsh_graph_device *device, int ordinal, CUresult *res)
{
	uint64_t epoch, held, begun, charged, reserved, refunded = 0;
	bool quiet, in_vain = false;

	gsh_lock(&device->growth.lock);
	held = device->growth.reserved;
	begun = device->growth.begun;
	quiet = device->growth.calls == 0;
	open_epoch(device);
	epoch = device->epoch;
	gsh_unlock(&device->growth.lock);
	*res = gsh_driver.cuDeviceGraphMemTrim(ordinal);
	gsh_lock(&device->growth.lock);
	charged = device->growth.charged;
	if (read_reserved(device, &reserved)) {
		gsh_growth_correct(&device->growth, reserved);
		/* Nothing was released, nor taken meanwhile. */
		in_vain = reserved == held && quiet && device->growth.calls == 0 &&
			  device->growth.begun == begun;
	}
	close_epoch(device, epoch, in_vain);
	if (device->growth.charged < charged)
		refunded = charged - device->growth.charged;
	gsh_unlock(&device->growth.lock);
	return refunded;
}

CUresult gsh_graph_trim(int ordinal, int row)
{
	struct gsh_graphs *graphs = graphs_if_any();
	CUresult res;

	if (!graphs || row < 0 || gsh_load_acquire(&graphs->devices[row].ordinal) == 0)
		return gsh_driver.cuDeviceGraphMemTrim(ordinal);
	trim(&graphs->devices[row], ordinal, &res);
	return res;
}

uint64_t gsh_graphs_trim(int row)
{
	struct gsh_graphs *graphs = graphs_if_any();
	uint64_t charged;
	int32_t ordinal;
	CUresult res;

	if (!graphs || !gsh_driver.cuDeviceGraphMemTrim)
		return 0;
	ordinal = gsh_load_acquire(&graphs->devices[row].ordinal) - 1;
	if (ordinal < 0)
		return 0;
	gsh_lock(&graphs->devices[row].growth.lock);
	charged = graphs->devices[row].growth.charged;
	gsh_unlock(&graphs->devices[row].growth.lock);
	if (charged == 0)
		return 0;
	gsh_add_relaxed(&gsh_process->tenant.ledger.own->trims, 1);
	return trim(&graphs->devices[row], ordinal, &res);
}

void gsh_graphs_look(int row, struct gsh_activity *activity)
{
	struct gsh_graphs *graphs = graphs_if_any();

	if (!graphs)
		return;
	gsh_lock(&graphs->devices[row].growth.lock);
	gsh_growth_look(&graphs->devices[row].growth, activity);
	gsh_unlock(&graphs->devices[row].growth.lock);
}
