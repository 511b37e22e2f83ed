/* The names of the process's metrics, each with its help text: two arguments of mt_metrics_set, _add and
 * _observe. Their labels are in the comment of each; who sets one gives exactly these.
 *
 * The first group is Ocean's (R-OBS-05, R-OBS-06, R-OBS-07) with the label integration added, since a process
 * holds several; dashboards that sum over kind stay right. The second group is ours. */
#ifndef MT_OBSERVE_NAMES_H
#define MT_OBSERVE_NAMES_H

/* {integration,kind,phase}: phase extract, transform, load, resync, delete; kind "issue-0", "__runtime__",
 * "__reconciliation__". Gauges of the last resync. */
#define MT_METRIC_DURATION "duration_seconds", "Duration of a phase of the last resync"
/* {integration,kind,phase,object_count_type}: raw_extracted, failed; transformed, filtered_out, failed;
 * loaded, failed, skipped; deleted */
#define MT_METRIC_OBJECTS "object_count", "Objects that a phase of the last resync counted"
/* {integration,kind,phase}: 1 or 0 */
#define MT_METRIC_SUCCESS "success", "Whether a phase of the last resync succeeded"
/* {integration,kind,phase,endpoint} */
#define MT_METRIC_RATE_LIMIT                                                                                 \
    "rate_limit_wait_seconds", "Time that the third party asked to wait in the last resync"
/* {integration,kind} each */
#define MT_METRIC_CPU_MAX "cpu_max_percent", "Highest sample of CPU use while the kind ran"
#define MT_METRIC_CPU_MEDIAN "cpu_median_percent", "Median of the samples of CPU use while the kind ran"
#define MT_METRIC_CPU_AVG "cpu_avg_percent", "Mean of the samples of CPU use while the kind ran"
#define MT_METRIC_MEMORY_MAX "memory_max_bytes", "Highest sample of resident memory while the kind ran"
#define MT_METRIC_MEMORY_MEDIAN "memory_median_bytes", "Median of the samples of resident memory"
#define MT_METRIC_MEMORY_AVG "memory_avg_bytes", "Mean of the samples of resident memory"
#define MT_METRIC_LATENCY_MAX                                                                                \
    "event_loop_latency_max_ms", "Highest sample of the event loop's latency while the kind ran"
#define MT_METRIC_LATENCY_MEDIAN                                                                             \
    "event_loop_latency_median_ms", "Median of the samples of the event loop's latency"
#define MT_METRIC_LATENCY_AVG "event_loop_latency_avg_ms", "Mean of the samples of the event loop's latency"
#define MT_METRIC_RESPONSE_TOTAL "response_size_total_bytes", "Decoded bytes of the third party's answers"
#define MT_METRIC_RESPONSE_AVG "response_size_avg_bytes", "Mean size of the third party's answers"
#define MT_METRIC_RESPONSE_MEDIAN "response_size_median_bytes", "Median size of the third party's answers"

/* {integration}: histogram, mt_buckets_seconds */
#define MT_METRIC_HTTP                                                                                       \
    "moontide_http_request_seconds", "Time of third-party requests, from admission to the last byte"
/* {integration,kind}: histogram, mt_buckets_seconds */
#define MT_METRIC_MAPPING "moontide_mapping_batch_seconds", "Time to map a batch of items"
/* {integration}: histogram, mt_buckets_seconds */
#define MT_METRIC_PORT "moontide_port_request_seconds", "Time of calls of Port's API, retries included"
/* {integration,kind}: histogram, mt_buckets_count */
#define MT_METRIC_QUEUE "moontide_queue_items", "Items that waited when a batch was taken from the queue"
/* {integration,result}: result reloaded, refused; histogram, mt_buckets_seconds */
#define MT_METRIC_RELOAD "moontide_reload_seconds", "Time from a change to the new generation or its refusal"
/* {integration}: histogram, mt_buckets_seconds */
#define MT_METRIC_SWAP                                                                                       \
    "moontide_swap_seconds", "Time in which no handler could start while generations changed"
/* {integration,result}: counter */
#define MT_METRIC_RELOADS "moontide_reloads_total", "Reloads by their result"
/* {integration,result}: result complete, failed, aborted; counter */
#define MT_METRIC_RESYNCS "moontide_resyncs_total", "Resyncs by their result"
/* {integration}: gauge */
#define MT_METRIC_GENERATION "moontide_generation", "Number of the generation at work"
/* {integration,reason}: reason busy, io, invalid; counter */
#define MT_METRIC_STATE                                                                                      \
    "moontide_state_file_failures_total", "Resyncs whose records the state file did not take"
/* counter */
#define MT_METRIC_DAMAGED                                                                                    \
    "moontide_state_file_damaged_total", "Damaged state files that were moved aside and begun anew"
/* {direction}: direction forward, back; counter */
#define MT_METRIC_CLOCK                                                                                      \
    "moontide_clock_jumps_total", "Times that the wall clock was set while the process ran"
/* {listener,reason}: listener public, admin; counter */
#define MT_METRIC_REFUSED "moontide_refused_requests_total", "Requests that a listener refused"

#endif
