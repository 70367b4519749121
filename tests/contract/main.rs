//! siprtmp's contract (its sections are named in `docs/decisions/0006`), line by line, on the wire of the real program.
//!
//! What a client depends on, what siprtmp got wrong and must not come back (BUG), and the test that holds it. Tests of other folders
//! are named too: `every_test_that_is_named_here_exists` looks for them.
//!
//! **1 Transport**
//!
//! | line | test |
//! |---|---|
//! | policy file, no NUL, then the end | `the_policy_file_is_served_without_a_nul_and_the_connection_closed` |
//! | zero version: simple handshake | `a_c1_without_version_gets_the_simple_handshake` |
//! | digest, scheme 0 and 1, signature of S2 | `a_digest_of_either_scheme_is_answered_by_a_valid_digest_of_that_scheme_and_a_signature` |
//! | the same against another program's client | `another_program_s_client_agrees_with_our_server` |
//! | C0 above 3 is dropped | `an_encrypted_handshake_is_dropped` |
//! | chunks of 128, 4096 with the first `play` | the fixtures; `headers_shrink_as_siprtmp_shrinks_them` |
//! | the client's chunk size is obeyed | `a_chunk_size_of_the_client_is_obeyed` |
//! | window at once, before the answer | `the_window_is_announced_at_once_and_connect_is_answered_after_the_registrar` |
//! | acknowledgements | `what_is_received_is_acknowledged_by_windows` |
//! | Set Buffer Length: Stream Begin | the fixtures; `buffer_length_is_told_and_answered_by_stream_begin` |
//! | aggregates | `audio_in_an_aggregate_is_audio` |
//! | type 17: a zero byte, then AMF0 | the fixtures; `a_command_of_type_17_is_read_with_and_without_its_zero_byte` |
//! | chunk streams 3 for the connection, then 4, 5, one a stream | the fixtures |
//! | extended timestamps, in and out | `extended_timestamps_are_read_whether_or_not_continuations_repeat_them`, `an_extended_timestamp_is_repeated_in_every_chunk_of_its_message` |
//! | five hours, all wraps | `what_the_phone_says_in_five_hours_passes_every_wrap_and_mark_without_a_gap`, `what_the_phone_hears_in_five_hours_passes_every_wrap_and_mark_without_a_gap` |
//! | `createStream` counts 1, 2, 3; `deleteStream` is answered | the fixtures; `streams_are_numbered_published_and_played` |
//! | MUST `closeStream`, then the same numbers again | `closed_streams_are_published_and_played_again_on_the_same_numbers` |
//!
//! **2 `connect`**
//!
//! | line | test |
//! |---|---|
//! | 0 to 4 arguments, null, undefined, empty; no password, no REGISTER | `connect_takes_none_to_four_arguments_null_undefined_or_empty` |
//! | the path | `the_app_path_is_sip_and_an_address` |
//! | number 1, null, the info object | `the_answer_to_connect_is_number_1_whatever_was_asked`, `object_encoding_is_echoed_if_it_was_sent_and_decides_the_type_of_commands` |
//! | the answer waits for the registrar, time 0 | `the_window_is_announced_at_once_and_connect_is_answered_after_the_registrar` |
//! | `403 Forbidden`, `404 Not Found`; one `_error`, then the end | `a_rejection_says_why_once_and_the_connection_closes` |
//! | `408 Request timeout` | `a_silent_registrar_is_asked_eleven_times_and_then_it_is_a_408`, `lost_datagrams_are_sent_again_and_silence_is_a_timeout` |
//! | `503 Service unavailable - cannot resolve DNS target` | `a_domain_that_does_not_resolve_is_503` |
//! | `objectEncoding` 1 | `an_object_encoding_of_neither_kind_is_rejected_with_advice_and_closed` |
//! | BUG `Missing app path` ended the server | `a_rejection_says_why_once_and_the_connection_closes` |
//! | BUG AMF3 integers; AMF3 values behind 0x11 | `arguments_may_come_as_amf3_behind_the_marker` |
//! | REGISTER | `a_register_is_what_the_contract_says`, `each_digest_algorithm_registers_with_one_retry` |
//! | refresh | `a_registration_is_refreshed_in_time_and_taken_back_at_the_end`, `a_registrar_that_wants_longer_intervals_gets_them` |
//! | a refresh that fails is told to who asked | `a_lost_registration_is_told_once_and_its_return_too_but_no_refresh_that_goes_well` |
//! | leaving: BYE, then un-REGISTER | `a_phone_that_leaves_in_a_call_says_bye_first_and_then_unregisters` |
//! | BUG leaving while it rings | `a_phone_that_vanishes_while_ringing_cancels` |
//! | BUG leaving with a call pending | `a_phone_that_vanishes_with_a_call_pending_answers_480` |
//! | a second connection replaces the first, which is told | `a_second_connection_replaces_the_first_which_is_told_and_closed` |
//! | several for one address | `a_setting_lets_several_phones_stand_for_one_address` |
//!
//! **3 Methods**
//!
//! | line | test |
//! |---|---|
//! | `_result`, number, null, before the effect; number 0 | `every_method_is_answered_by_a_bare_result_before_its_effect` |
//! | `_error` with a description for what cannot be understood | `wrong_arguments_are_answered_with_an_error_that_says_why` |
//! | BUG `register`, `unregister`, `data` | `siprtmp_s_internals_cannot_be_called` |
//! | `reject`: code and phrase, or 603; BUG null | `the_words_of_reject_null_and_empty_ones_too_become_a_status`, `the_words_of_reject_become_the_status_that_the_caller_gets` |
//! | BUG `bye` on a pending call | `bye_on_a_pending_call_declines_it` |
//! | BUG `sendDTMF` was one packet | `digits_are_read_back_in_order_each_with_a_marker_and_three_end_packets`, `several_digits_in_one_call_are_sent_one_after_another` |
//! | `hold` | `hold_stops_the_media_both_ways_and_resume_brings_it_back` |
//!
//! **4 Outgoing calls**
//!
//! | line | test |
//! |---|---|
//! | `invalid dest URI` | `every_method_is_answered_by_a_bare_result_before_its_effect` |
//! | addresses with and without name and parameters; BUG numbers, `tel:`, bare names | `numbers_tel_and_bare_names_are_called_in_the_account_s_domain` |
//! | a challenge | `a_challenged_invite_is_sent_again_with_credentials_of_the_registered_realm` |
//! | `Already in an active or pending call`; BUG while it rings | `a_second_invite_while_the_first_rings_is_refused` |
//! | `Registration required before making a call` | `calls_before_the_registration_are_refused` |
//! | `ringing("180 Ringing")` for 180 and 183 only; 3xx is a failure | `every_180_and_183_is_told_and_no_other_progress` |
//! | `accepted`; repeated 200s get their ACK | `every_repeated_200_gets_the_same_ack_and_one_event` |
//! | `rejected("486 Busy Here")` | `a_final_failure_reaches_the_phone_as_it_was_said` |
//! | `408 Request timeout` | `no_answer_at_all_is_seven_invites_and_a_408` |
//! | CANCEL, kept back until a provisional answer; nothing is told | `bye_while_it_rings_cancels_the_call`, `a_cancel_is_kept_back_until_a_provisional_response` |
//! | BUG 200 without SDP | `a_200_without_a_description_is_rejected_and_hung_up` |
//! | no word that is known: no INVITE | `a_list_without_a_codec_that_is_known_is_rejected_and_nobody_is_called` |
//!
//! **5 Incoming calls**
//!
//! | line | test |
//! |---|---|
//! | registered phones only | `without_a_password_nobody_can_call`, `who_is_not_registered_or_unknown_is_not_called` |
//! | `invited(from, to)`, identical in `cancelled` | the fixtures; `an_address_without_display_name_is_told_bare` |
//! | BUG the match was made at `accept` | `an_offer_that_cannot_be_met_is_488_at_once` |
//! | `accept` with words that do not fit: 488, `byed` | `an_offer_that_shares_no_codec_with_the_words_of_accept_is_answered_488` |
//! | BUG INVITE without SDP | `an_invite_without_a_description_is_answered_with_an_offer` |
//! | `accepted` after the ACK | `an_accepted_call_is_told_after_the_ack_and_heard_before_it` |
//! | BUG no ACK: `byed`, the 200 stops, BYE | `without_an_ack_the_call_ends_with_a_bye` |
//! | BUG a newer INVITE took the pending one's place, or the call's | `a_second_caller_is_busy_and_the_first_still_rings`, `a_second_caller_gets_busy_and_disturbs_nothing` |
//! | `Require` | `an_extension_that_is_required_is_refused_with_420` |
//!
//! **6 In a call**
//!
//! | line | test |
//! |---|---|
//! | `byed` when the peer hangs up, nothing when the phone does | `bye_of_the_phone_is_followed_by_no_byed_and_a_call_can_follow_at_once` |
//! | `holded` | `a_hold_of_the_peer_is_answered_in_kind_and_told_to_the_phone`, `every_way_to_hold_is_understood` |
//! | BUG the 200 of a re-INVITE | `the_200_of_a_reinvite_stops_at_its_ack` |
//! | 405 with Allow, 481 | `what_a_dialog_does_not_know_is_refused_with_allow`, `unknown_and_unwanted_methods_are_told_apart` |
//! | indications: numbers 2, 3, 4; answers to them are ignored | `calls_of_the_server_count_from_2_and_answers_to_them_are_accepted` |
//! | nothing but the seven for old clients | `an_old_client_is_told_nothing_but_the_seven_indications` |
//! | MUST `accepted` with 0 or 2 arguments | `accepted_names_the_first_word_of_the_list_that_the_peer_has_or_nothing_without_a_list` |
//!
//! **7 Codecs**
//!
//! | line | test |
//! |---|---|
//! | words: 96, 98, 0, 8, 101; unknown and repeated ones are skipped | `each_word_is_its_payload_type_in_the_offer_in_the_order_of_the_list` |
//! | the default offer; the swap by `narrowband` | `without_a_list_all_is_offered_and_the_rate_argument_swaps_the_two_speex_formats` |
//! | answers: the offerer's order, numbers, spelling | `an_answer_keeps_the_offerer_s_order_numbers_and_spelling` |
//! | arguments of `accepted` | `accepted_names_the_first_word_of_the_list_that_the_peer_has_or_nothing_without_a_list` |
//! | 97 and 99 (video) | not bridged: the words are skipped |
//! | Speex wideband from Flash, relayed; 0xB2, 0xB6 | `wideband_from_flash_is_relayed_as_it_is_to_a_wideband_peer_whatever_the_low_bits_of_its_tag` |
//! | narrowband layer for a narrowband peer | `a_narrowband_peer_gets_the_narrowband_layer_of_wideband_frames` |
//! | Speex wideband to G.711 | `speech_between_speex_wideband_and_pcmu_is_as_good_as_the_bare_codecs` |
//! | 0x82, 0x72: G.711 as it is | `g711_is_passed_through_with_its_own_tag_both_ways` |
//! | BUG RTP time | `rtp_time_follows_rtmp_time_over_a_pause` |
//! | BUG several frames in a message | `several_frames_in_a_message_are_as_many_frames_for_the_peer`, `two_speex_frames_in_one_message_are_forty_milliseconds_of_speech` |
//! | BUG G.711 decoded as Speex | `g711_published_in_a_speex_call_is_what_its_tag_says` |
//! | 0xB2 for narrowband too | `narrowband_speex_is_tagged_b2_too` |
//! | BUG half of a long packet; one message for 20 ms | `packets_of_any_length_become_one_message_for_each_20_ms` |
//! | Nellymoser | `nellymoser_of_every_rate_is_heard_and_nothing_is_told_of_it` |
//! | MP3, AAC: told, not passed over | `a_codec_that_cannot_be_bridged_is_told_on_the_stream_and_not_passed_over_in_silence` |
//! | BUG RTCP was never sent | `rtcp_reports_come_while_a_call_is_up` |
//!
//! **8 Streams**
//!
//! | line | test |
//! |---|---|
//! | `Publish.Start`, `Play.Start` of type 20 | the fixtures |
//! | `Publish.BadName`; `?query` is cut | `a_name_that_is_published_twice_is_a_bad_name_and_a_query_is_cut_off` |
//! | BUG `play` before the call | `streams_opened_before_the_call_are_answered_and_carry_the_call` |
//! | while it rings, in either order | `streams_may_be_opened_while_it_rings_in_either_order` |
//! | during, after, and left open | `streams_opened_during_and_after_a_call_work_and_those_left_open_serve_the_next` |
//!
//! **9 Stock clients**: the fixtures, replayed by `stock.rs`.
#![allow(clippy::unwrap_used)]

mod amf;
mod calls;
mod codecs;
mod connecting;
mod five_hours;
mod methods;
mod script;
#[allow(unreachable_pub, reason = "the same file is the stage of the end-to-end tests")]
#[path = "../e2e/stage.rs"]
mod stage;
mod stock;
mod streams;
mod wire;

use std::path::Path;

#[test]
fn every_test_that_is_named_here_exists() {
    let mut sources = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["tests", "gateway"] {
        read_rust(&root.join(folder), &mut sources);
    }
    let rows = include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").nth(1));
    // Names of tests are the long words between backticks.
    let names: Vec<&str> =
        rows.flat_map(|tests| tests.split('`').skip(1).step_by(2)).filter(|n| n.len() > 20).collect();
    assert!(names.len() > 80, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn read_rust(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            // Hidden folders hold what the tests install.
            if !entry.file_name().unwrap().to_string_lossy().starts_with('.') {
                read_rust(&entry, sources);
            }
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
}
