/*
 * engine_round.c - who has the SMs and the copy engines of a device, and the books of it.
 *
 * Knows one device at one instant: slices, switches, concurrent kernels, copies. Refuses
 * to know dependencies and the order of events across devices; what has ended it only
 * names.
 */
#include "engine_private.h"

static bool has_work(const struct sim_ctx *ctx)
{
	return ctx && (ctx->nrunning || ctx->runnable_head);
}

/* --- books -------------------------------------------------------------------------- */

static void account_copies(struct sim_engine *engine, struct sim_device *device,
			   uint64_t dt_ns)
{
	for (int i = 0; i < SIM_COPY_ENGINES; i++) {
		struct sim_op *op = device->copy[i].head;

		if (!op || op->state != SIM_OP_RUNNING)
			continue;
		op->executed_ns += dt_ns;
		if (i == SIM_COPY_IN) {
			op->ctx->stats.copy_in_ns += dt_ns;
			device->stats.copy_in_ns += dt_ns;
		} else {
			op->ctx->stats.copy_out_ns += dt_ns;
			device->stats.copy_out_ns += dt_ns;
		}
		if (op->progress)
			engine->calls.progress(engine->calls.arg, op);
	}
}

/* A kernel with part of the SMs it could use does that part of its work. */
static void execute(struct sim_op *op, uint64_t dt_ns)
{
	uint64_t done_ns = dt_ns, parts;

	if (op->kind == SIM_OP_KERNEL && op->granted != op->demand) {
		parts = dt_ns * op->granted + op->executed_parts;
		done_ns = parts / op->demand;
		op->executed_parts = (uint32_t)(parts % op->demand);
	}
	op->executed_ns += done_ns;
	op->ctx->stats.kernel_ns += done_ns;
}

void sim_device_account(struct sim_engine *engine, struct sim_device *device)
{
	uint64_t dt_ns = engine->now_ns - device->books_ns;
	struct sim_ctx *ctx = device->resident;

	if (!dt_ns)
		return;
	device->books_ns = engine->now_ns;
	switch (device->state) {
	case SIM_DEVICE_IDLE:
		device->stats.idle_ns += dt_ns;
		break;
	case SIM_DEVICE_SWITCHING:
		device->stats.switch_ns += dt_ns;
		break;
	case SIM_DEVICE_BUSY:
		device->stats.busy_ns += dt_ns;
		ctx->stats.gpu_ns += dt_ns;
		for (struct sim_op *op = ctx->running_head; op; op = op->next) {
			execute(op, dt_ns);
			if (op->progress)
				engine->calls.progress(engine->calls.arg, op);
		}
		break;
	}
	account_copies(engine, device, dt_ns);
}

/* --- ends --------------------------------------------------------------------------- */

/* How long a kernel still takes with the SMs it has now; the last nanosecond is whole. */
static uint64_t left_ns(const struct sim_op *op)
{
	uint64_t left = op->work_ns - op->executed_ns;

	if (op->granted == op->demand || left == 0)
		return left;
	if (left > SIM_NEVER / SIM_DEMAND_FULL / 2)
		return left;
	return (left * op->demand - op->executed_parts + op->granted - 1) / op->granted;
}

/* When an operation on the SMs or on a copy engine, accounted up to now_ns, will end. */
static uint64_t end_ns(const struct sim_op *op, uint64_t now_ns)
{
	switch (op->kind) {
	case SIM_OP_SPIN:
		return SIM_NEVER;
	case SIM_OP_CLOCK:
		return sim_add_sat(op->start_ns, op->work_ns);
	case SIM_OP_KERNEL:
		return op->executed_ns >= op->work_ns ? now_ns
						      : sim_add_sat(now_ns, left_ns(op));
	default:
		return sim_add_sat(now_ns, op->work_ns - op->executed_ns);
	}
}

static void collect_op(struct sim_engine *engine, struct sim_op *op)
{
	if (end_ns(op, engine->now_ns) <= engine->now_ns)
		sim_queue_put(engine, op, SIM_QUEUE_ENDED);
}

bool sim_device_collect(struct sim_engine *engine, struct sim_device *device)
{
	if (device->next_ns > engine->now_ns)
		return false;
	sim_device_account(engine, device);
	device->next_ns = SIM_NEVER;
	device->dirty = true;
	if (device->state == SIM_DEVICE_BUSY) {
		struct sim_op *op = device->resident->running_head;

		for (; op; op = op->next)
			collect_op(engine, op);
	}
	for (int i = 0; i < SIM_COPY_ENGINES; i++) {
		struct sim_op *op = device->copy[i].head;

		if (op && op->state == SIM_OP_RUNNING)
			collect_op(engine, op);
	}
	return true;
}

static void refresh_next(struct sim_device *device, uint64_t now_ns)
{
	uint64_t next_ns = SIM_NEVER;

	if (device->state == SIM_DEVICE_SWITCHING) {
		next_ns = device->switch_end_ns;
	} else if (device->state == SIM_DEVICE_BUSY) {
		struct sim_op *op = device->resident->running_head;

		if (device->nactive > 1)
			next_ns = device->slice_end_ns;
		for (; op; op = op->next) {
			uint64_t op_end_ns = end_ns(op, now_ns);

			if (op_end_ns < next_ns)
				next_ns = op_end_ns;
		}
	}
	for (int i = 0; i < SIM_COPY_ENGINES; i++) {
		struct sim_op *op = device->copy[i].head;

		if (op && op->state == SIM_OP_RUNNING && end_ns(op, now_ns) < next_ns)
			next_ns = end_ns(op, now_ns);
	}
	device->next_ns = next_ns;
}

/* --- operations come and go --------------------------------------------------------- */

static struct sim_copy_engine *copy_engine_of(struct sim_device *device,
					      const struct sim_op *op)
{
	return &device->copy[op->kind == SIM_OP_COPY_IN ? SIM_COPY_IN : SIM_COPY_OUT];
}

/* Behind `after`, at the head if that is NULL. */
static void insert_after(struct sim_op **head, struct sim_op **tail, struct sim_op *after,
			 struct sim_op *op)
{
	op->prev = after;
	op->next = after ? after->next : *head;
	if (op->next)
		op->next->prev = op;
	else
		*tail = op;
	if (after)
		after->next = op;
	else
		*head = op;
}

static void unlink_tailed(struct sim_op **head, struct sim_op **tail, struct sim_op *op)
{
	if (*tail == op)
		*tail = op->prev;
	sim_list_unlink(head, op);
}

void sim_device_insert(struct sim_engine *engine, struct sim_op *op)
{
	struct sim_device *device = sim_op_device(engine, op);
	struct sim_ctx *ctx = op->ctx;
	struct sim_op *after = ctx->runnable_tail;

	op->state = SIM_OP_RUNNABLE;
	device->dirty = true;
	if (sim_op_is_copy(op)) {
		struct sim_copy_engine *copy = copy_engine_of(device, op);

		insert_after(&copy->head, &copy->tail, copy->tail, op);
		return;
	}
	if (!has_work(ctx))
		device->nactive++;
	if (ctx->runnable_head && op->priority < ctx->runnable_head->priority)
		after = NULL;
	while (after && after->priority > op->priority)
		after = after->prev;
	insert_after(&ctx->runnable_head, &ctx->runnable_tail, after, op);
}

/* Divides the SMs among the running kernels in the order in which they started. What one
 * gets only grows while it runs. */
static void grant(struct sim_ctx *ctx)
{
	uint32_t room = SIM_DEMAND_FULL;

	for (struct sim_op *op = ctx->running_head; op; op = op->next) {
		op->granted = op->demand < room ? op->demand : room;
		room -= op->granted;
	}
	ctx->granted = SIM_DEMAND_FULL - room;
}

void sim_device_detach(struct sim_engine *engine, struct sim_op *op)
{
	struct sim_device *device = sim_op_device(engine, op);
	struct sim_ctx *ctx = op->ctx;
	bool running = op->state == SIM_OP_RUNNING;

	sim_device_account(engine, device);
	device->dirty = true;
	if (running && op->progress)
		engine->nprogress--;
	if (sim_op_is_copy(op)) {
		struct sim_copy_engine *copy = copy_engine_of(device, op);

		unlink_tailed(&copy->head, &copy->tail, op);
		return;
	}
	if (running) {
		unlink_tailed(&ctx->running_head, &ctx->running_tail, op);
		ctx->nrunning--;
		grant(ctx);
		if (op->kind == SIM_OP_SPIN)
			engine->nspins--;
	} else {
		unlink_tailed(&ctx->runnable_head, &ctx->runnable_tail, op);
	}
	if (!has_work(ctx))
		device->nactive--;
}

static void poll_spin(struct sim_engine *engine, struct sim_op *op)
{
	if (op->kind == SIM_OP_SPIN && op->queue == SIM_QUEUE_NONE &&
	    engine->calls.ready(engine->calls.arg, op))
		sim_queue_put(engine, op, SIM_QUEUE_ENDED);
}

void sim_device_poll(struct sim_engine *engine, struct sim_device *device)
{
	if (device->state != SIM_DEVICE_BUSY || !engine->nspins)
		return;
	for (struct sim_op *op = device->resident->running_head; op; op = op->next)
		poll_spin(engine, op);
}

unsigned sim_device_polling(const struct sim_device *device)
{
	unsigned n = 0;

	if (device->state != SIM_DEVICE_BUSY || !device->resident)
		return 0;
	for (struct sim_op *op = device->resident->running_head; op; op = op->next)
		n += op->kind == SIM_OP_SPIN;
	return n;
}

static void begin_running(struct sim_engine *engine, struct sim_op *op)
{
	op->state = SIM_OP_RUNNING;
	op->start_ns = engine->now_ns;
	if (op->progress)
		engine->nprogress++;
}

/* --- deciding ----------------------------------------------------------------------- */

static void start_kernels(struct sim_engine *engine, struct sim_ctx *ctx)
{
	struct sim_op *op;

	while ((op = ctx->runnable_head) &&
	       ctx->nrunning < engine->config.max_concurrent &&
	       ctx->granted < SIM_DEMAND_FULL) {
		unlink_tailed(&ctx->runnable_head, &ctx->runnable_tail, op);
		insert_after(&ctx->running_head, &ctx->running_tail, ctx->running_tail,
			     op);
		ctx->nrunning++;
		grant(ctx);
		begin_running(engine, op);
		if (op->kind == SIM_OP_SPIN) {
			engine->nspins++;
			poll_spin(engine, op);
		}
	}
}

static void start_copies(struct sim_engine *engine, struct sim_device *device)
{
	for (int i = 0; i < SIM_COPY_ENGINES; i++) {
		struct sim_op *op = device->copy[i].head;

		if (op && op->state == SIM_OP_RUNNABLE)
			begin_running(engine, op);
	}
}

static void go_on_with(struct sim_engine *engine, struct sim_device *device)
{
	device->state = SIM_DEVICE_BUSY;
	device->slice_end_ns = sim_add_sat(engine->now_ns, engine->config.slice_ns);
	sim_device_poll(engine, device);
}

static void give_to(struct sim_engine *engine, struct sim_device *device,
		    struct sim_ctx *ctx)
{
	device->resident = device->cursor = ctx;
	device->fresh = false;
	ctx->stats.slices++;
	go_on_with(engine, device);
}

static void switch_to(struct sim_engine *engine, struct sim_device *device,
		      struct sim_ctx *ctx)
{
	device->state = SIM_DEVICE_SWITCHING;
	device->target = device->cursor = ctx;
	device->switch_end_ns = sim_add_sat(engine->now_ns, engine->config.switch_ns);
	device->stats.switches++;
}

/* The next context of the round that has work; there is one. */
static struct sim_ctx *next_active(const struct sim_device *device)
{
	struct sim_ctx *ctx = device->cursor->round_next;

	while (!has_work(ctx))
		ctx = ctx->round_next;
	return ctx;
}

/* Slices of a lone context are renewed by nobody; this catches up. A slice that ends
 * right now has not been renewed. */
static bool slice_over(struct sim_device *device, uint64_t now_ns, uint64_t slice_ns)
{
	uint64_t past_ns;

	if (device->slice_end_ns < now_ns) {
		past_ns = (now_ns - device->slice_end_ns) % slice_ns;
		device->slice_end_ns = past_ns ? sim_add_sat(now_ns, slice_ns - past_ns)
					       : now_ns;
	}
	return device->slice_end_ns == now_ns;
}

/* Who has the SMs from now on. */
static void decide(struct sim_engine *engine, struct sim_device *device)
{
	uint64_t now_ns = engine->now_ns;

	if (device->state == SIM_DEVICE_BUSY) {
		if (!has_work(device->resident))
			device->state = SIM_DEVICE_IDLE;
		else if (device->nactive > 1 &&
			 slice_over(device, now_ns, engine->config.slice_ns))
			switch_to(engine, device, next_active(device));
	}
	while (device->state != SIM_DEVICE_BUSY) {
		if (device->state == SIM_DEVICE_SWITCHING) {
			if (now_ns < device->switch_end_ns)
				return;
			device->state = SIM_DEVICE_IDLE;
			device->resident = NULL;
			if (device->target)
				give_to(engine, device, device->target);
			device->target = NULL;
		} else if (!device->nactive) {
			return;
		} else if (has_work(device->resident)) {
			go_on_with(engine, device);
		} else if (device->fresh) {
			give_to(engine, device, next_active(device));
		} else {
			switch_to(engine, device, next_active(device));
		}
	}
}

void sim_device_schedule(struct sim_engine *engine, struct sim_device *device)
{
	sim_device_account(engine, device);
	device->dirty = false;
	start_copies(engine, device);
	decide(engine, device);
	if (device->state == SIM_DEVICE_BUSY)
		start_kernels(engine, device->resident);
	refresh_next(device, engine->now_ns);
}

/* --- the round ---------------------------------------------------------------------- */

void sim_device_join(struct sim_device *device, struct sim_ctx *ctx)
{
	struct sim_ctx *next;

	if (!device->cursor) {
		ctx->round_prev = ctx->round_next = ctx;
		device->cursor = ctx;
		return;
	}
	/* The round gets to it last, save the cursor if that has had its turn. */
	next = device->fresh ? device->cursor->round_next : device->cursor;
	ctx->round_next = next;
	ctx->round_prev = next->round_prev;
	ctx->round_prev->round_next = ctx;
	next->round_prev = ctx;
	if (device->fresh)
		device->cursor = ctx;
}

void sim_device_leave(struct sim_device *device, struct sim_ctx *ctx)
{
	if (device->cursor == ctx)
		device->cursor = ctx->round_prev == ctx ? NULL : ctx->round_prev;
	ctx->round_prev->round_next = ctx->round_next;
	ctx->round_next->round_prev = ctx->round_prev;
	ctx->round_prev = ctx->round_next = NULL;
	if (device->target == ctx)
		device->target = NULL;
	if (device->resident == ctx) {
		device->resident = NULL;
		if (device->state == SIM_DEVICE_BUSY)
			device->state = SIM_DEVICE_IDLE;
	}
	device->dirty = true;
}
