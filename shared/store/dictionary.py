"""What packed pings, sales and routes have in common, as zlib's preset dictionary: the names of their members and of
usual lead fields, and the texts of answers. A value of half a kilobyte alone repeats little of itself.

**It never changes**: what is stored can be read with these very bytes only. Another one takes a form of its own.
Later bytes are cheaper to refer to, so what most values have stands last.
"""

FORM_1 = (
    # The usual fields of leads, as MessagePack has short texts: a byte of 0xa0 and the length, then the text.
    b"\xa7address\xa3age\xa8utm_term\xaautm_source\xaautm_mediumautm_campaign\xa6gender\xa4male\xa6female"
    b"\xb0current_coverage\xafcurrent_insurer\xaeinsurance_typehome_owner\xa6rented\xa5owned\xb1residence_status"
    b"\xaecredit_ratinggoodexcellentfairpoor\xb0household_income\xb1currently_insured\xa7carrier\xadhas_insurance"
    b"\xacvehicle_year\xacvehicle_make\xadvehicle_model\xa8dui_data\xadaccident_data"
    b"\xa6county\xa7country\xa2US\xa8comments\xa9best_timemorningafternoonevening\xa8language\xa2en\xa2es"
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/ Safari/537.36"
    b"(iPhone; CPU iPhone OS like Mac OS X) Mobile/15E148\xaauser_agent\xa2ip\xaaip_address\xaaip_address\xaf"
    b"https://www..com/\xaalanding_url\xbbtrusted_form_certificate_url\xb5trusted_form_cert_url\xd9"
    b"https://cert.trustedform.com/\xaejornaya_leadid\xd9\x24\xaejornaya_lead_idleadid_token\xb3tcpa_consent_given"
    b"\xaetcpa_languageBy clicking, I consent to receive calls \xaddate_of_birth\xaa19\xa3dob\xaafirst_name"
    b"\xa9last_name\xa5email@yahoo.com@hotmail.com@example.com@gmail.com\xa4city\xa3zip\xa5\xa8zip_code\xa5state\xa2"
    b"CAFLNYTXOH\xa4true\xa5false\xa3yes\xa2no\xa7unknown\xb1trackdrive_number\xac+1800\xb1traffic_source_id\xa4"
    # Answers: of FULL, then what it has in common with those of POST.
    b'{"success":true,"status":"success","errors":[],"try_all_buyers_ping_id":"pb_","try_all_buyers":{"ping_id":"pb_"},'
    b'"buyers":[{"buyer_id":"id":"name":"bid":"bid_price":0,"ping_id":"pg_"}],"warnings":{'
    b'{"success":true,"status":"accepted","errors":[],"trackdrive_number":"1800'
    b'{"success":true,"status":"success","errors":[],"trackdrive_number":"1888","trackdrive_number":"1800'
    b'","forwarding_number":"1800","forwarding_number_status":"accepted","buyer_name":"","buyer_id":'
    b',"number_expires_at":"2026-12-31T20:00:00Z"}'
    # A route, alone.
    b"\x86\xa7ping_id\xc4\x0c\xa8buyer_id\xa6number\xac+1800\xa4sold\xc3\xaaheld_until\xcej\xa6seller\x93"
    # A live buyer's words, and facts.
    b"\xa7counted\x81\xa6listed\xa4sold\x81\xb5offer#\xa7buyer#\xa4said\x81\x84\xa4type\xa3Yes\xa5cents\xcd"
    b"\xa9reference\xd9\xaaexpires_at\xce\xb2conversion_seconds\xa3sip\x82\xa4type\xa2No\xa6reason\xa8declined"
    b"\xa6broken\xc2\xa5words\xa0\xa7unasked\xa8left_out\x91\xa4took\x81\xcd"
    # A sale.
    b"\xde\x00\x12\xa7attempt\xc4\x08\xa8buyer_id\x01\xa5cents\xcd\xa9bid_cents\xcd\xacpayout_cents\xcd\xa6number\xac"
    b"+1800\xa7sold_at\xcej\xaaheld_until\xcej\xa6choice\x00\xa6posted\x80\xa6posted\x81\xa9caller_id\xac+1"
    b"\xa6answer\xc4\xaakept_until\xcej\xa4user\xa0\xa8overflow\xc2\xa4said\xc0\xabdestination\xac+1800"
    b"\xa4pool\xa0\xa9pool_used\x00"
    # A ping.
    b"\x8c\xa2id\xc4\x0c\xa8endpoint\xa7version\x01\xa4lead\x82\xa9caller_id\xac+1\xa4bids\x91\x93\x01\xcd\xcd"
    b"\xa4seed\xc4\x08\xaacreated_at\xcej\xaaexpires_at\xcej\xaalead_until\xcej\xa4user\xa0\xa5facts\x80\xa4rest\xc4\x00"
)
