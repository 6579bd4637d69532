/*
 * events.c - what happened, as far as there is room; see model.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "top/rows.h"

/*
 * The oldest event is overwritten next. Where they have filled up and the tenant has had more
 * than its part, its own oldest is moved there: nobody's are washed away by somebody else's.
 */
static void make_room(struct top_model *model, const struct top_tenant *tenant)
{
	uint64_t oldest = model->events_count - TOP_EVENTS_MAX, first = UINT64_MAX;
	unsigned count = 0;

	if (model->events_count < TOP_EVENTS_MAX)
		return;
	for (uint64_t i = model->events_count; i-- > oldest;)
		if (model->events[i % TOP_EVENTS_MAX].tenant_id == tenant->id) {
			first = i;
			count++;
		}
	if (count < TOP_EVENTS_OF_ONE)
		return;
	for (uint64_t i = first; i > oldest; i--)
		model->events[i % TOP_EVENTS_MAX] =
			model->events[(i - 1) % TOP_EVENTS_MAX];
}

void top_event_add(struct top_model *model, const struct top_tenant *tenant,
		   enum top_event_kind kind, uint64_t unix_ns, const char *format, ...)
{
	struct top_event *event;
	va_list args;

	make_room(model, tenant);
	event = &model->events[model->events_count++ % TOP_EVENTS_MAX];
	event->number = model->events_count;
	event->unix_ns = unix_ns;
	event->tenant_id = tenant->id;
	event->kind = kind;
	memcpy(event->tenant, tenant->name, sizeof(event->tenant));
	va_start(args, format);
	vsnprintf(event->text, sizeof(event->text), format, args);
	va_end(args);
}
