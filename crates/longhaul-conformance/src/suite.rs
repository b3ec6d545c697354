//! The one list of the suite's tests, and the macro that makes a store's tests of it.

use std::future::Future;

use tokio::runtime::Builder;

/// Makes one `#[test]` of every sentence of the contract, of every race, of every symptom and of the model test, for the
/// store that `$fixture` makes: an `async fn() -> Fixture`, or a closure that is the same.
///
/// ```
/// use longhaul::{Clock, MemoryStore};
/// use longhaul_conformance::{Fixture, conformance};
///
/// async fn fixture() -> Fixture {
///     let clock = Clock::manual();
///     Fixture::new(MemoryStore::with_clock(clock.clone()), clock)
/// }
///
/// conformance!(fixture);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::sentences! { __tests $fixture }

        mod races {
            use super::*;

            $crate::races! { __race_tests $fixture }
        }

        mod symptoms {
            use super::*;

            $crate::symptoms! { __symptom_tests $fixture }
        }

        #[test]
        fn every_event_in_every_state_does_what_the_lifecycle_says() {
            let make = $fixture;
            $crate::on_one_thread(async {
                $crate::walk::every_event_in_every_state_does_what_the_lifecycle_says(&make().await).await
            });
        }

        #[test]
        fn the_store_agrees_with_the_model() {
            $crate::model::model_agrees($fixture, $crate::model::CASES);
        }

        #[test]
        fn a_store_that_is_moved_in_the_midst_of_a_history_goes_on_as_the_model_does() {
            $crate::model::moves_agree($fixture, $crate::model::MOVES);
        }
    };
}

/// Makes one `#[test]` of every race for a database that [several](crate::several()) processes have open, where calls meet that one
/// process would gather in a transaction.
#[macro_export]
macro_rules! races_of_processes {
    ($fixture:expr) => {
        $crate::races! { __race_tests $fixture }
    };
}

/// Makes the tests that play histories, which are random sequences of operations, on the store and on the model: a thousand, or as
/// many as are named, for a store that is too slow for them. The fixture may answer with one store again and again, where that is
/// quicker: empty each time, and with a later time.
#[macro_export]
macro_rules! histories {
    ($fixture:expr) => {
        $crate::histories!($fixture, $crate::model::HISTORIES);
    };
    ($fixture:expr, $histories:expr) => {
        mod histories {
            use super::*;

            $crate::histories! { $fixture, $histories;
                the_first_quarter_of_the_histories_agrees_with_the_model 1
                the_second_quarter_of_the_histories_agrees_with_the_model 2
                the_third_quarter_of_the_histories_agrees_with_the_model 3
                the_last_quarter_of_the_histories_agrees_with_the_model 4
            }
        }
    };
    ($fixture:expr, $histories:expr; $($name:ident $part:literal)*) => {
        $(
            #[test]
            fn $name() {
                $crate::model::histories_agree($fixture, $histories, $part);
            }
        )*
    };
}

/// Hands the contract's sentences to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! sentences {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! {
            [$($context)*]
            migrate {
                migrating_twice_changes_nothing
                a_store_that_takes_writes_is_ready
            }
            enqueue {
                a_new_job_is_available_at_once
                a_new_job_has_the_fields_it_was_given
                a_delayed_job_is_scheduled_until_its_time
                a_start_in_the_past_means_at_once
                an_id_that_exists_creates_nothing
                the_same_id_twice_in_one_call_is_one_job
                an_empty_enqueue_does_nothing
                a_new_job_may_bring_steps_that_are_done_already
            }
            admission {
                a_job_that_cannot_be_kept_is_refused_with_its_field
                a_kind_or_queue_that_a_claim_names_twice_counts_once
                a_version_far_above_all_that_exist_takes_them_all
                an_entry_that_cannot_be_kept_ends_its_own_run_as_failed
                a_long_log_line_is_cut_and_marked
                a_queue_that_no_job_can_be_in_is_not_configured
                a_queue_that_no_job_can_be_in_is_not_paused
                a_filter_that_no_store_can_be_asked_for_is_refused
                a_filter_of_limit_keys_that_no_store_can_be_asked_for_is_refused
                an_output_that_cannot_be_kept_fails_its_own_job
                a_follow_up_that_cannot_be_kept_fails_its_own_job
                a_long_error_is_cut_and_marked
            }
            finish_again {
                a_finish_repeated_with_the_token_that_ended_the_job_is_held
                a_finish_repeated_after_a_run_that_did_not_end_the_job_is_lost
                a_repeated_finish_is_lost_once_the_job_was_retried_or_deleted
            }
            gap {
                a_log_beyond_its_bound_loses_its_oldest_entries_and_tells_of_the_gap
                a_log_of_large_entries_is_bounded_by_their_bytes
            }
            limits {
                a_job_of_a_paused_limit_key_is_not_claimed
                jobs_of_other_keys_are_claimed_past_those_of_a_paused_one
                jobs_of_a_paused_key_keep_their_order
                very_many_jobs_of_a_paused_key_keep_no_other_back
                very_many_keys_that_are_paused_keep_no_other_back
                a_job_whose_time_is_over_keeps_no_other_of_its_limit_keys_back
                a_waiting_claim_answers_when_a_pause_ends
                a_rate_limited_run_costs_no_attempt
                a_rate_limited_run_pauses_its_first_limit_key
                a_longer_pause_is_not_shortened_by_a_shorter_one
                a_rate_limited_run_without_a_key_waits_alone
                a_rate_limited_run_of_a_lost_lease_pauses_nothing
            }
            queue_limits {
                no_more_jobs_of_a_queue_run_than_it_has_slots
                a_job_takes_as_many_slots_of_its_queue_as_it_costs
                a_job_that_costs_more_than_all_slots_of_its_queue_runs_alone
                the_next_job_of_a_full_queue_keeps_those_behind_it_back
                a_job_that_its_key_keeps_back_keeps_no_other_of_a_limited_queue_back
                a_queue_that_keeps_a_job_back_takes_nothing_of_its_keys
                a_full_queue_keeps_no_other_queue_back
                the_rate_of_a_queue_admits_a_burst_and_then_its_share
                the_rate_of_a_queue_counts_what_jobs_cost
                a_waiting_claim_answers_when_the_rate_of_its_queue_admits_the_next_job
                a_waiting_claim_answers_when_a_job_goes_that_kept_back_others_of_its_limited_queue
                a_limited_queue_that_is_fair_takes_turns_as_any_other_does
                a_slot_of_a_queue_is_given_back_when_its_run_ends_however_it_ends
                a_waiting_claim_answers_when_a_slot_of_its_queue_is_given_back
                a_run_that_settles_its_cost_moves_the_rate_of_its_queue_by_the_difference
                limits_of_a_queue_that_are_set_count_what_runs_already
                limits_of_a_queue_that_are_raised_or_taken_away_let_waiting_jobs_go
                a_queue_tells_what_is_taken_of_its_limits
                limits_of_a_queue_that_are_set_again_as_they_are_forget_nothing
            }
            prefer {
                a_worker_that_has_all_the_labels_claims_a_job_that_prefers_them_at_once
                a_worker_without_the_labels_claims_a_job_once_it_has_been_due_for_a_second
                a_job_that_prefers_labels_hard_is_claimed_by_workers_alone_that_have_them
                a_job_that_prefers_others_keeps_no_other_back
                a_job_that_prefers_others_is_next_once_its_second_is_over
                a_job_that_was_given_back_has_waited_already_for_those_that_it_prefers
                jobs_that_prefer_the_same_keep_their_order
                jobs_with_a_preference_take_the_turns_of_their_keys
                jobs_with_a_preference_and_limit_keys_keep_to_their_limits
                very_many_jobs_that_prefer_others_keep_no_other_back
                a_waiting_claim_answers_when_a_job_comes_that_prefers_its_worker
                a_waiting_claim_of_a_worker_without_the_labels_answers_when_the_second_is_over
            }
            batches {
                a_job_that_waits_for_its_children_is_blocked
                a_job_that_waits_for_children_and_has_none_is_available_at_once
                a_child_that_joins_later_is_waited_for_too
                the_last_child_to_end_frees_its_parent
                a_failed_child_frees_its_parent_all_the_same
                a_parent_is_freed_once
                a_follow_up_of_a_child_joins_the_batch_before_the_child_is_counted
                a_poisoned_child_is_counted
                a_cancelled_child_is_counted
                a_child_retried_by_hand_is_waited_for_again
                deleting_a_child_does_not_change_the_count
                a_child_that_ends_tells_the_readers_of_its_parent
            }
            depends {
                a_job_that_depends_on_others_is_blocked_until_all_have_ended
                the_last_dependency_to_end_frees_its_dependants
                a_dependency_that_has_ended_counts_at_once
                a_job_whose_dependency_has_failed_already_is_created_and_cancelled
                a_job_may_depend_on_one_that_stands_before_it_in_the_call
                a_dependency_on_a_job_of_the_call_that_was_not_created_is_one_on_the_job_that_stands_for_it
                a_job_that_comes_to_depend_on_an_unfinished_ancestor_is_created_and_cancelled
                of_several_dependencies_on_one_job_one_that_cancels_holds
                a_job_that_depends_on_one_that_is_not_there_is_refused_with_its_call
                a_job_that_depends_on_an_unfinished_ancestor_is_refused_with_its_call
                a_job_that_exists_already_is_not_asked_for_its_dependencies
                a_dependant_starts_no_sooner_than_its_own_time
                a_closing_job_with_dependencies_waits_for_both
                a_dependency_that_fails_or_is_cancelled_cancels_its_dependants_and_theirs
                a_dependant_that_runs_after_any_end_is_freed_by_a_failure
                very_many_dependants_are_settled_in_portions
                very_many_dependants_are_cancelled_in_portions
                a_dependant_counts_the_end_that_it_waited_for_though_its_job_has_ended_anew
                a_follow_up_may_depend_on_the_job_that_it_follows
                a_follow_up_that_depends_on_a_job_that_is_not_there_is_created_and_cancelled
                a_dependency_counts_once_though_it_is_retried_by_hand
                a_dependant_retried_by_hand_does_not_wait_again
                deleting_a_dependency_changes_nothing
                a_job_made_anew_under_an_old_id_does_not_know_the_old_dependencies
                dependants_are_told_in_the_order_in_which_they_were_enqueued
                an_unknown_job_has_no_dependants
            }
            webhooks {
                a_job_with_a_webhook_is_created_with_its_delivery
                a_delivery_is_freed_by_any_end_of_its_job
                a_webhook_of_a_job_that_is_not_created_leaves_the_call_standing
                a_follow_up_with_a_webhook_brings_its_delivery
            }
            access {
                a_token_is_kept_with_its_scopes_until_it_is_deleted
                a_token_that_expires_is_forgotten_after_that
                a_store_keeps_a_bounded_number_of_tokens
                a_job_tells_the_token_that_it_was_enqueued_with_and_is_found_by_it
                the_audit_log_is_read_newest_first_and_page_by_page
                an_entry_of_the_audit_log_takes_the_place_of_an_earlier_one_of_its_moment_and_id
                an_entry_of_the_audit_log_is_forgotten_after_its_time
            }
            waits {
                a_child_of_a_job_that_has_begun_and_not_ended_is_counted
                a_child_of_a_job_that_has_not_begun_or_has_ended_is_not_counted
                a_run_that_waits_for_its_children_gives_its_slot_back_and_costs_no_attempt
                a_run_that_waits_for_children_and_has_none_unfinished_goes_on_at_once
                the_last_child_to_end_lets_a_waiting_run_go_on
                a_child_that_ends_before_its_parent_waits_is_not_waited_for
                a_wait_for_children_ends_after_its_timeout
                a_child_that_is_deleted_or_retried_by_hand_keeps_no_waiting_run_back
                retrying_a_parent_by_hand_keeps_the_counts_of_its_children
                a_run_that_waits_for_a_signal_gives_its_slot_back_and_costs_no_attempt
                a_wait_for_a_signal_that_has_come_goes_on_at_once
                a_wait_for_a_signal_ends_after_its_timeout
                a_sweep_lets_waits_that_are_over_go_on
                a_wait_that_is_over_is_claimed_without_a_sweep
                a_waiting_claim_answers_when_a_wait_is_over
                a_wait_of_a_job_asked_to_cancel_ends_it_as_cancelled
                a_job_that_waits_for_a_person_keeps_its_attempts_and_its_error
                retrying_a_job_that_waits_for_a_person_starts_it_anew
                cancelling_a_job_that_waits_for_a_person_ends_it
                cancelling_a_blocked_job_ends_its_wait
            }
            signals {
                a_signal_lets_the_job_that_waits_for_it_go_on
                a_signal_of_another_name_keeps_the_wait
                the_first_signal_of_a_name_wins
                an_early_signal_is_kept
                a_signal_is_listed_among_the_steps_of_its_job
                a_signal_to_a_job_that_has_ended_changes_nothing
                a_signal_to_an_unknown_job_says_so
                a_signal_that_cannot_be_kept_is_refused
                a_waiting_claim_answers_when_a_signal_comes
            }
            unique {
                a_refresh_joins_an_unfinished_holder
                a_refresh_takes_the_key_from_a_finished_holder
                a_held_unique_key_joins_the_job_that_holds_it
                the_same_unique_key_twice_in_one_call_is_one_job
                a_unique_key_is_free_once_its_job_has_failed
                a_unique_key_is_free_once_its_job_was_cancelled
                a_unique_key_is_free_once_its_job_completed_without_a_period
                a_unique_key_with_a_period_outlives_completion_by_the_period
            }
            unique_modes {
                a_newcomer_takes_the_key_of_a_holder_in_a_state_that_it_does_not_name
                a_job_whose_key_was_given_to_another_frees_nothing_when_it_ends
                a_job_whose_key_was_given_to_another_does_not_take_it_back_when_it_ends
                a_holder_that_has_ended_in_a_state_that_it_names_keeps_its_key
                a_reject_creates_nothing_and_tells_the_holder
                a_refused_job_leaves_its_idempotency_key_free
                a_replace_gives_a_waiting_holder_its_args_and_its_time
                a_replace_by_another_version_is_claimed_whatever_limits_and_preference_its_holder_has
                a_replace_comes_too_late_for_a_holder_that_runs
                a_debounced_job_waits_until_none_has_come_for_its_delay
                a_debounced_job_waits_no_longer_than_its_longest_delay
                a_debounce_moves_no_job_that_was_started_or_is_due
                a_debounce_at_its_leading_edge_runs_the_first_at_once_and_joins_the_others
                a_throttle_joins_for_its_period_whatever_becomes_of_its_job
                a_supersede_cancels_a_waiting_holder_and_takes_its_key
                a_supersede_asks_a_running_holder_to_stop
                a_supersede_takes_the_key_from_a_finished_holder
                a_follow_waits_behind_a_running_holder_as_the_only_one
                a_follow_replaces_a_waiting_holder_and_takes_the_key_from_a_finished_one
                a_follower_that_ends_first_gives_the_key_back_to_the_job_that_it_follows
                a_follow_behind_a_holder_that_is_an_ancestor_is_rejected
            }
            max_waiting {
                a_full_queue_refuses_a_job_and_the_others_of_the_call_are_created
                a_full_queue_that_drops_the_oldest_cancels_it_for_the_new_job
                a_full_queue_that_drops_the_newest_cancels_the_new_job_at_once
                a_limit_key_bounds_its_waiting_jobs_in_all_queues
                a_clash_that_creates_nothing_is_not_refused_by_a_full_queue
                a_job_that_waits_for_its_children_passes_a_full_queue
                follow_ups_and_jobs_that_wait_again_pass_a_full_queue
            }
            times {
                a_sweep_cancels_a_job_that_was_not_started_before_its_expiry
                a_job_past_its_expiry_or_its_deadline_is_not_claimed
                a_job_that_was_started_does_not_expire
                a_sweep_cancels_a_waiting_job_at_its_deadline
                a_sweep_asks_a_running_job_to_stop_at_its_deadline
                a_claim_tells_the_time_that_is_left_until_the_deadline
                a_run_that_was_cut_off_at_its_deadline_says_so
                a_cancelled_job_says_why
                retrying_forgets_the_times_of_a_job_and_why_it_was_cancelled
            }
            settle {
                a_run_that_settles_its_cost_moves_the_rates_of_its_keys_by_the_difference
                a_run_that_settles_nothing_moves_no_rate
                a_run_that_goes_on_after_its_rates_are_free_again_settles_its_cost_whatever_was_swept
            }
            idempotency {
                a_repeated_idempotency_key_answers_the_first_job
                an_idempotency_key_used_for_another_request_creates_nothing
                an_idempotency_key_is_forgotten_after_its_time
                an_idempotency_key_outlives_its_job
            }
            claim {
                a_claimed_job_is_running_and_belongs_to_the_worker
                a_claim_takes_no_more_than_the_slots_of_each_queue
                a_claim_takes_only_the_queues_it_names
                a_claim_takes_only_the_kinds_it_names
                a_claim_takes_no_version_above_the_one_it_knows
                a_due_scheduled_job_is_claimed_without_a_sweep
                a_job_that_is_not_due_is_not_claimed
                two_claims_never_take_the_same_job
                each_claim_raises_the_token
                a_claim_brings_the_outputs_of_the_steps_that_are_done
                a_second_attempt_resets_a_log_that_has_entries
            }
            claim_order {
                jobs_of_one_priority_are_claimed_in_the_order_they_were_enqueued
                a_scheduled_job_takes_its_turn_from_when_it_falls_due
                higher_priority_goes_first
                a_low_priority_is_overtaken_for_a_bounded_time_only
            }
            claim_wait {
                a_waiting_claim_answers_when_a_job_arrives
                a_waiting_claim_answers_when_a_scheduled_job_falls_due
                a_waiting_claim_answers_with_nothing_after_its_wait
                a_dropped_claim_takes_nothing
            }
            heartbeat {
                a_heartbeat_extends_the_lease
                a_heartbeat_with_an_old_token_is_lost
                a_heartbeat_tells_of_a_requested_cancel
                a_heartbeat_makes_the_worker_known
                a_silent_worker_is_forgotten_after_a_minute
            }
            record {
                recorded_entries_are_read_back_in_order
                the_last_progress_is_the_job_s_progress
                a_record_with_an_old_token_changes_nothing
                the_first_output_of_a_step_stays
                a_step_writes_no_event
                a_record_tells_of_a_requested_cancel
            }
            finish {
                a_completed_job_keeps_its_output
                a_retry_waits_for_its_delay_and_keeps_its_error
                a_failed_job_keeps_its_error
                a_cancelled_outcome_ends_the_job
                a_snooze_costs_no_attempt
                a_release_costs_no_attempt_and_counts_as_an_interruption
                a_released_job_is_available_at_once
                a_released_job_keeps_its_place
                a_finish_with_an_old_token_changes_nothing
                a_finish_has_its_effect_once
                a_job_made_anew_under_an_old_id_does_not_know_the_old_leases
                the_entries_of_a_finish_come_before_its_outcome
                a_retry_snooze_rate_limit_or_release_of_a_job_asked_to_cancel_ends_it_as_cancelled
                a_completion_of_a_job_asked_to_cancel_stands
                each_finish_of_a_batch_stands_alone
                the_last_twenty_errors_are_kept
                a_turn_finishes_and_then_claims
                a_turn_does_not_wait
                a_turn_claims_what_its_finishes_make_due
            }
            follow_ups {
                follow_ups_are_created_with_the_completion
                follow_ups_of_a_lost_finish_are_not_created
                follow_ups_of_a_retry_are_not_created
                a_follow_up_whose_id_exists_leaves_the_completion_standing
            }
            sweep {
                a_sweep_promotes_what_is_due
                a_sweep_rescues_jobs_whose_lease_has_expired
                a_rescue_costs_no_attempt_and_counts_as_a_crash
                a_rescued_job_keeps_its_place
                a_job_that_crashed_too_often_fails_as_poison
                a_rescued_job_asked_to_cancel_is_cancelled
                a_sweep_fences_off_a_cancelled_job_after_its_grace
                a_sweep_does_no_more_than_its_limit
                a_sweep_with_nothing_to_do_says_so
            }
            prune {
                a_sweep_prunes_by_age
                a_sweep_prunes_by_count
                a_sweep_keeps_a_job_whose_unique_key_is_held
                a_sweep_keeps_a_job_while_one_that_depends_on_it_has_not_ended
                a_sweep_keeps_a_child_while_its_parent_has_not_ended
                a_pruned_job_is_gone_for_a_day_and_then_unknown
            }
            read {
                an_unknown_id_is_unknown
                a_position_counts_the_available_jobs_ahead
                a_job_tells_its_unique_key_and_the_job_that_holds_it
                a_list_is_newest_first
                pages_follow_each_other_without_gap_or_overlap
                a_filter_leaves_only_what_fits
                a_short_list_leaves_large_payloads_out_and_tells_their_sizes
            }
            events {
                a_job_that_emits_nothing_has_only_its_state_to_tell
                events_after_a_number_leave_out_what_was_seen
                events_are_read_in_pieces_without_loss
                a_completed_job_ends_its_log_with_output_and_state
                a_waiting_reader_hears_of_a_new_event
                a_waiting_reader_hears_of_a_change_of_state
                a_waiting_reader_hears_that_a_job_is_asked_to_stop
                a_reader_of_a_finished_job_does_not_wait
                events_of_an_unknown_job_are_none
            }
            act {
                cancelling_a_waiting_job_ends_it_at_once
                cancelling_a_running_job_asks_it_to_stop
                a_job_that_was_asked_to_stop_already_is_left_alone_unless_its_grace_becomes_shorter
                cancelling_a_finished_job_does_nothing
                retrying_a_finished_job_makes_it_available_with_all_its_attempts
                retrying_keeps_the_steps_of_a_failed_job
                retrying_a_completed_job_forgets_its_steps
                retrying_an_unfinished_job_does_nothing
                retrying_a_job_whose_unique_key_another_holds_does_nothing
                deleting_removes_a_finished_job_and_frees_its_key
                deleting_an_unfinished_job_does_nothing
                an_action_stops_at_its_limit
                an_action_tells_how_many_jobs_fit_and_how_many_it_changed
                an_action_checks_its_filter_where_it_writes
                an_action_leaves_alone_what_comes_to_fit_while_it_acts
            }
            changes {
                every_change_of_state_is_told_once
                a_change_tells_when_the_wait_or_the_run_before_it_began
                a_failed_attempt_is_told_with_its_message
            }
            lanes {
                lanes_tell_the_kinds_and_versions_that_wait_in_each_queue
                a_lane_counts_no_more_than_a_thousand_jobs
            }
            keys {
                no_more_jobs_of_a_key_run_than_it_has_slots
                a_job_takes_as_many_slots_of_its_keys_as_it_costs
                a_job_that_costs_more_than_all_slots_runs_alone
                all_keys_of_a_job_must_admit_it
                a_key_that_keeps_a_job_back_takes_nothing_of_the_others
                jobs_of_a_full_key_keep_their_order_and_no_other_back
                a_slot_is_given_back_when_its_run_ends_however_it_ends
                a_slot_is_given_back_once
                a_rescue_gives_a_slot_back
                a_waiting_claim_answers_when_a_slot_of_its_key_is_given_back
                a_waiting_claim_answers_when_a_job_goes_that_kept_back_others_of_its_limit_key
                a_rate_admits_a_burst_and_then_its_share
                a_rate_counts_what_jobs_cost
                a_waiting_claim_answers_when_a_rate_admits_the_next_job
                a_key_has_its_own_limits_or_those_of_its_longest_prefix
                limits_that_are_raised_or_taken_away_let_waiting_jobs_go
                limits_that_are_set_count_what_runs_already
                a_key_that_no_job_can_have_is_not_configured
                jobs_of_a_paused_key_stay_available
                a_key_that_no_job_can_have_is_not_paused
                a_waiting_claim_answers_when_its_key_is_resumed
                resuming_a_key_that_is_not_paused_changes_nothing
                keys_tell_their_limits_what_waits_and_what_runs
                a_pause_of_a_limit_key_is_listed_until_it_ends
                keys_are_listed_by_name_and_page_by_page
                keys_of_a_queue_are_those_of_which_jobs_wait_in_it
            }
            fair {
                a_fair_queue_takes_turns_between_its_keys
                a_fair_queue_gives_turns_by_weight
                jobs_without_keys_take_turns_as_one_key_does
                a_key_that_comes_late_to_a_fair_queue_has_no_turns_to_catch_up_with
            }
            paused_queues {
                a_claim_takes_no_job_of_a_paused_queue
                a_claim_of_several_queues_passes_over_a_paused_one
                a_waiting_claim_answers_when_its_queue_is_resumed
                jobs_of_a_paused_queue_keep_their_states_and_their_order
                a_job_that_runs_while_its_queue_is_paused_goes_on
                a_paused_queue_is_listed_though_no_job_is_in_it
                a_configuration_leaves_a_pause_as_it_is
                resuming_a_queue_that_is_not_paused_changes_nothing
            }
            restart {
                retrying_with_args_replaces_them_and_forgets_the_steps
                retrying_with_args_that_cannot_be_kept_is_refused
                a_new_priority_moves_a_waiting_job_to_its_place
                a_new_priority_counts_for_a_running_job_once_it_waits_again
                a_new_priority_is_told_to_the_readers_of_the_job
                a_finished_job_keeps_its_priority
                a_job_that_has_the_priority_already_is_left_alone
                retrying_from_a_step_forgets_it_and_those_after_it
                retrying_from_a_step_that_is_not_there_does_nothing
                retrying_a_completed_job_from_a_step_does_nothing
            }
            moving {
                an_export_shows_the_store_as_it_was_when_it_began_or_fails
                an_export_of_an_empty_store_has_no_records
                an_export_has_settings_before_jobs_and_jobs_in_the_order_in_which_they_were_enqueued
                what_was_exported_and_imported_is_as_it_was
                importing_twice_adds_nothing
                a_record_that_a_call_has_twice_is_created_once
                a_record_that_is_there_already_stays_as_it_is
                a_job_that_was_removed_is_not_imported_again
                a_running_job_is_imported_as_one_that_was_given_back
                a_running_job_that_was_asked_to_stop_is_cancelled_when_it_is_imported
                imported_jobs_are_claimed_in_their_order_and_run_to_their_ends
                an_imported_job_keeps_to_the_limits_of_its_keys_and_its_queue
                an_imported_dependant_counts_the_end_of_a_job_that_has_ended_since
                a_dependency_that_is_not_there_counts_as_ended_for_an_imported_job
                a_unique_key_that_another_job_holds_stays_with_that_one
                a_record_that_cannot_be_kept_is_refused_and_nothing_of_its_call_is_written
            }
            moving_batches {
                an_imported_child_joins_a_parent_that_was_not_imported_with_it
                an_import_that_is_begun_anew_counts_each_child_once
                an_imported_child_of_a_job_that_counts_no_new_one_is_not_counted
                an_imported_child_that_had_ended_is_waited_for_where_it_is_retried_by_hand
            }
            samples {
                a_sample_is_read_back_in_its_series
                a_later_sample_of_the_same_moment_and_source_takes_the_place_of_the_earlier_one
                a_sample_is_forgotten_after_its_time
                a_sample_that_cannot_be_kept_is_refused
                samples_come_by_moment_and_source_from_the_moment_asked_for
            }
            search {
                every_term_of_a_filter_must_be_true
                a_page_tells_how_many_jobs_it_looked_at
                an_action_keeps_to_the_terms_of_its_filter
            }
            steps {
                steps_tell_their_attempts_and_times_in_the_order_in_which_they_were_done
                a_completed_job_keeps_the_times_of_its_steps_without_their_outputs
                steps_of_an_unknown_job_are_none
            }
            queues {
                counts_follow_every_transition
                a_configuration_is_updated_only_where_it_is_still_the_one_that_was_read
                a_queue_keeps_its_configuration
            }
        }
    };
}

/// Hands the races to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! races {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! {
            [$($context)*]
            races {
                no_more_jobs_run_than_a_queue_has_slots_whoever_claims
                slots_that_are_set_while_jobs_begin_and_end_are_counted_once
                each_job_is_claimed_by_one_of_many_claimers
                a_waiting_claimer_never_takes_what_another_took
                one_of_many_enqueuers_of_a_unique_key_creates_the_job
                one_of_many_enqueuers_of_an_id_creates_the_job
                one_of_many_enqueuers_of_an_idempotency_key_creates_the_job
                one_of_two_finishes_has_an_effect
                a_lease_that_expires_while_finishing_has_one_winner
                a_cancel_while_finishing_is_not_lost
                a_fence_while_finishing_has_one_winner
                two_sweepers_do_everything_once
                a_rescued_worker_never_overwrites_its_successor
                the_last_children_free_their_parent_once
                a_child_that_joins_while_the_last_one_ends_is_waited_for_or_too_late
                no_claim_that_begins_after_a_pause_takes_a_job_of_its_key
                a_replace_and_a_claim_have_one_winner
                a_supersede_while_the_holder_ends_leaves_one_holder
                many_superseders_leave_one_holder
                one_of_many_followers_waits_behind_the_running_job
                a_follow_while_the_holder_ends_is_freed_or_created_anew
                one_of_many_debounced_enqueuers_creates_the_job
                one_of_many_throttled_enqueuers_creates_the_job
                changes_of_different_fields_of_a_queue_are_all_kept
                no_more_jobs_wait_than_a_full_queue_lets
                a_full_queue_that_drops_the_oldest_keeps_as_many_as_may_wait
            }
            races_by_hand {
                a_retry_while_retention_removes_the_job_has_one_winner
                a_retry_while_the_job_is_deleted_has_one_winner
                a_child_that_two_retry_at_once_is_waited_for_once
                a_child_that_is_retried_while_the_last_one_ends_is_counted_once
                a_parent_that_is_cancelled_while_its_last_child_ends_stays_so
                a_run_that_begins_to_wait_while_it_is_cancelled_ends
                a_wait_that_is_cancelled_while_its_signal_comes_ends
                jobs_whose_priority_changes_while_they_are_claimed_run_once
                a_cancel_of_all_jobs_while_they_are_claimed_reaches_each
                a_dependant_of_a_job_that_is_removed_at_the_moment_is_refused_or_free
                a_dependant_of_a_job_that_is_retried_at_the_moment_runs_once_it_has_ended
                a_retry_while_another_takes_the_unique_key_has_one_winner
                a_pause_of_a_queue_and_its_configuration_do_not_undo_each_other
                slots_of_a_key_that_are_set_while_jobs_begin_and_end_are_counted_once
                a_bound_that_is_set_while_jobs_fall_due_counts_each
                a_log_that_is_read_while_its_job_is_deleted_is_whole_or_none
                a_reader_that_waits_while_its_job_ends_and_is_deleted_is_answered
            }
            races_of_leases {
                a_step_that_is_recorded_while_its_lease_expires_is_kept_or_lost
                a_run_that_ends_at_its_deadline_has_one_end
                a_heartbeat_while_its_lease_expires_is_never_lost_without_a_rescue
            }
            races_of_waits {
                a_signal_while_the_run_begins_to_wait_is_not_lost
                one_of_many_signals_is_accepted
                a_signal_at_the_end_of_the_wait_has_one_outcome
                the_last_child_that_ends_while_its_parent_begins_to_wait_is_not_missed
                the_last_dependencies_free_a_dependant_once
                a_dependant_that_is_enqueued_while_its_dependency_ends_is_freed
                a_dependant_that_is_cancelled_while_its_dependency_ends_stays_so
                dependencies_that_fail_at_once_cancel_a_dependant_once
            }
        }
    };
}

/// Hands the symptoms to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! symptoms {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! {
            [$($context)*]
            ownership {
                a1_a_job_that_has_just_completed_is_not_put_back_by_a_rescue
                a2_a_dead_worker_that_is_not_listed_any_more_gives_its_jobs_back
                a2_a_new_process_under_a_dead_ones_name_neither_keeps_nor_loses_its_jobs
                a3_a_rescue_by_a_worker_that_does_not_know_the_kind_costs_the_job_nothing
                a18_jobs_delayed_beyond_the_lease_are_held_by_nobody_and_run_once
                a28_a_job_keeps_its_priority_through_retry_rescue_snooze_and_release
                a29_a_job_that_is_removed_with_its_end_is_never_run_without_its_args
                a35_a_worker_whose_clock_is_wrong_runs_nothing_early_and_keeps_its_lease
            }
            keys {
                a5_a_clash_of_unique_keys_keeps_no_other_job_from_being_promoted
                a5_a_key_that_has_passed_on_is_neither_taken_nor_freed_by_its_old_holder
                a8_a_unique_key_is_free_exactly_when_its_job_has_ended
                a9_a_job_that_a_shutdown_hands_back_holds_its_unique_key
                a11_unique_keys_are_equal_only_where_every_byte_is
                a32_a_key_whose_job_has_failed_is_not_answered_with_the_failure
                a33_an_own_id_is_a_duplicate_while_its_job_is_kept_and_free_once_it_is_gone
            }
            families {
                a14_a_parent_waits_for_no_child_that_failed_was_removed_or_never_ran
                a15_an_empty_batch_closes_at_once_with_zeros
                a16_a_closing_job_runs_once_and_after_children_that_end_before_the_batch_is_written
            }
            times {
                a17_a_job_far_ahead_waits_for_its_time
                a17_a_run_that_is_put_off_for_years_does_not_come_back_at_once
                a17_a_timeout_lease_grace_or_period_of_years_does_not_end_at_once
                a17_a_backoff_over_a_thousand_attempts_stays_at_its_longest_wait
            }
            schedules {
                a36_each_tick_is_enqueued_once_by_servers_that_die_while_clocks_change
            }
            values {
                a22_a_nul_in_what_a_run_says_keeps_no_end_from_being_written
                a22_a_nul_in_a_name_concerns_nobody_else
                a22_a_nul_in_a_follow_up_fails_its_own_job_with_the_field
                a23_half_of_a_surrogate_pair_is_refused_wherever_a_run_may_put_it
                a23_a_huge_or_odd_error_is_readable_wherever_the_job_is
                a24_a_key_named_twice_is_refused_wherever_json_may_be
                a34_an_id_that_a_url_cannot_carry_is_refused_and_every_other_is_usable
            }
            bulk {
                a26_a_call_of_ten_thousand_full_jobs_is_kept_whole_or_not_at_all
                a26_a_finish_with_a_thousand_follow_ups_creates_all_of_them
                a31_an_action_on_a_whole_queue_changes_only_what_it_is_for_and_counts_it
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$fixture:expr] $($module:ident { $($name:ident)* })*) => {
        $(mod $module {
            use super::*;

            $(
                #[test]
                fn $name() {
                    let make = $fixture;
                    $crate::on_one_thread(async { $crate::$module::$name(&make().await).await });
                }
            )*
        })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __race_tests {
    ([$fixture:expr] $($module:ident { $($name:ident)* })*) => {
        $($(
            #[test]
            fn $name() {
                let make = $fixture;
                $crate::on_many_threads(async { $crate::$module::$name(&make().await).await });
            }
        )*)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __symptom_tests {
    ([$fixture:expr] $($module:ident { $($name:ident)* })*) => {
        $(mod $module {
            use super::*;

            $(
                #[test]
                fn $name() {
                    let make = $fixture;
                    $crate::on_many_threads(async { $crate::symptoms::$module::$name(&make().await).await });
                }
            )*
        })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __names {
    ([] $($module:ident { $($name:ident)* })*) => {
        &[$($(stringify!($name),)*)*]
    };
}

/// The names of all tests that have a sentence in the contract.
pub const SENTENCES: &[&str] = crate::sentences!(__names);

/// Runs a test as `#[tokio::test]` would, without asking the caller's crate for tokio.
#[doc(hidden)]
pub fn on_one_thread(test: impl Future<Output = ()>) {
    run(&mut Builder::new_current_thread(), test);
}

/// The same, with threads enough that what is spawned runs at once.
#[doc(hidden)]
pub fn on_many_threads(test: impl Future<Output = ()>) {
    run(Builder::new_multi_thread().worker_threads(4), test);
}

fn run(runtime: &mut Builder, test: impl Future<Output = ()>) {
    let runtime = runtime.enable_all().build();
    runtime.unwrap_or_else(|error| panic!("failed to start a runtime: {error}")).block_on(test);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::SENTENCES;

    const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
    const SYMPTOMS: &[&str] = crate::symptoms!(__names);
    const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../longhaul/src/store/mod.rs");

    /// "A claim takes nothing." is tested by `a_claim_takes_nothing`.
    fn test_name(sentence: &str) -> String {
        let words = sentence.to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("_")
    }

    #[test]
    fn every_sentence_has_its_test_and_every_test_its_sentence() {
        let contract = std::fs::read_to_string(CONTRACT).expect("the contract is read");
        let lines = contract.lines().filter_map(|line| line.trim_start().strip_prefix("/// - "));
        let sentences: Vec<String> = lines.map(test_name).collect();
        assert!(sentences.len() > 50, "the contract's sentences were found");
        let said: BTreeSet<&str> = sentences.iter().map(String::as_str).collect();
        let tested: BTreeSet<&str> = SENTENCES.iter().copied().collect();
        assert_eq!(said.len(), sentences.len(), "no sentence stands twice in the contract");
        assert_eq!(tested.len(), SENTENCES.len(), "no test stands twice in the list");
        let untested: Vec<_> = said.difference(&tested).collect();
        let unsaid: Vec<_> = tested.difference(&said).collect();
        assert!(untested.is_empty() && unsaid.is_empty(), "untested: {untested:#?}, unsaid: {unsaid:#?}");
    }

    /// The names of all functions under a folder.
    fn functions(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder of the repository is read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                functions(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).expect("a file of the repository is read");
                let names = source.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
                found.extend(names.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_symptom_is_on_the_page_and_every_test_that_the_page_names_exists() {
        let page = fs::read_to_string(PAGE).expect("the page is read");
        let named: BTreeSet<&str> =
            page.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 2).collect();
        let mut there = BTreeSet::new();
        functions(Path::new(CRATES), &mut there);
        let unnamed: Vec<_> = SYMPTOMS.iter().filter(|name| !named.contains(**name)).collect();
        let missing: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
        assert!(unnamed.is_empty() && missing.is_empty(), "unnamed: {unnamed:#?}, missing: {missing:#?}");
    }
}
