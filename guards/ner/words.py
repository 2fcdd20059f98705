"""The words that tell a name from what only looks like one. All in lower case, English where not marked."""

from __future__ import annotations

import re


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Before a name, whoever bears it.
TITLES = words_of(
    "mr mrs ms miss mx dr prof professor sir madam madame mme mlle monsieur herr frau señor señora señorita signor "
    "signora sr sra dña don doña lord lady dame rev reverend fr father sister brother rabbi imam sheikh judge justice "
    "senator congressman congresswoman captain capt colonel col lieutenant lt sergeant sgt major officer detective "
    "inspector nurse attorney ambassador chancellor president minister"
)
# A relation whose name follows: "my brother X", "our colleague X".
KIN = words_of(
    "wife husband son daughter kid child brother sister mother father mom mum dad uncle aunt cousin nephew niece "
    "friend boyfriend girlfriend fiancé fiancée partner colleague coworker co-worker boss manager neighbour neighbor "
    "grandmother grandfather grandma grandpa roommate employee patient client customer tenant landlord teacher "
    "student doctor therapist lawyer actor actress singer songwriter author writer director artist poet musician "
    "guitarist drummer pianist violinist rapper comedian journalist reporter novelist painter photographer footballer "
    "swimmer composer producer candidate applicant suspect defendant plaintiff witness victim"
)
# What only people do, after a name or (the second) before one.
DOING = words_of(
    "said says shouted shouts asked asks replied replies whispered answered answers wrote writes told tells thinks "
    "thought smiled laughed laughs cried cries nodded married marries lives lived died dies resigned complained "
    "complains apologized apologised forgot remembers remembered hopes wants wanted loves loved hates hated wishes "
    "spoke speaks testified argued argues sings sang studied studies graduated emailed called phoned texted visited "
    "promised explained insists insisted claims claimed wept yelled screamed agrees agreed disagrees felt feels "
    "believes believed"
)
TOLD = words_of("said asked replied shouted whispered answered wrote yelled explained added says told")
# After a name's genitive: "X's daughter".
OF_A_PERSON = KIN | words_of(
    "house home phone email e-mail address birthday account passport password salary boss team resume cv desk office "
    "car life death funeral wedding voice face hand hands eyes killer killers hair ex mistake opinion advice request "
    "apartment room career diagnosis surgery blood prescription appointment medication grades kids children parents "
    "family"
)
# The text before a name, at its end, which is told to be one: "my name is X".
NAMED = re.compile(
    r"(?:\b(?:sur|nick)?name(?:['’]s|\s+is|\s+was|\s+to|\s+of)|\bname\?(?:\s+user:)?"
    r"|\bcall(?:ed|s)?\s+(?:me|him|her|myself|himself|herself)"
    r"|\b(?:it['’]s|is|account|booking|reservation|appointment|order)\s+under(?:\s+(?:the\s+)?name(?:\s+of)?)?"
    r"|\b(?:my|his|her|partner['’]s|husband['’]s|wife['’]s)\s+name"
    r"|\b(?:dear|dearest|attn|sincerely|regards|cheers|yours|signed|hello|hi|hey|thanks)\s*[,:.!]?"
    r"|\b(?:directed|composed|signed|approved|reviewed|prepared|represented|diagnosed|arrested|hired)\s+by\s*:?"
    r"|\b(?:followed|following|follow)\s+up\s+with|\b(?:met|meet|meeting|spoke|speak|lunch|dinner|interview)\s+with"
    r"|\b(?:user|customer|patient|client|employee|applicant|contact|author|sender|recipient|student|passenger|guest"
    r"|tenant|cardholder|beneficiary|attendee|assignee|reporter|owner|driver|insured|spouse|doctor|physician|signatory"
    r"|(?:first|last|full|given|family|middle|maiden|user|account|customer|patient)[\s_-]?name)\s?:"
    r"|\bI['’]?m|\bI\s+am)\s*[\"'“(>*]*\s*$",
    re.IGNORECASE,
)
# The same, but what follows may be anything: "a tool called X", "name: X" in a settings file.
PERHAPS_NAMED = re.compile(
    r"(?:\b[Cc]alled|\b[Nn]amed|\b[Nn]ame\"?\s?[:=]|\b[Ww]ritten\s+by|\b[Ss]ung\s+by|\b[Bb]y|\b[Cc]ontact|\b[Tt]hanks\s+to"
    r"|\b(?:From|To|CC|Cc|BCC|Bcc)\s?:|\b[Bb]illing\s+address\s?:|\bship(?:ped)?\s+to\s?:?"
    r"|\b(?:said|says|shouted|yelled|spoke|speak|talked|talk|listened|waved|smiled|lied|proposed|apologi[sz]ed|whispered)"
    r"\s+(?:at|to|with))\s*[\"'“(>*]*\s*$"
)
# The same in a text without capitals, where nothing else shows what is a name.
NAMED_IN_LOWER_CASE = re.compile(
    r"\b(?:my|his|her|their|your|whose|first|last|full|real|maiden|middle|family)\s+name(?:['’]s|\s+is|\s+was)\s+$"
)
# Belongs to a name, between its parts.
PARTICLES = words_of(
    "de da do dos das du del della di la le van von der den ten ter vom zu zur al el bin ben ibn af av y e"
)
# Endings that family names have, and few other words: at least two letters come before.
FAMILY_ENDING = re.compile(
    r"\w{2}(?:sson|dóttir|dottir|sen|ović|ovic|ević|evic|enko|ova|eva|ov|ev|sky|ski|ska|cki|cka|wicz|czyk|nen|ström|strom"
    r"|gren|qvist|quist|lund|berg|bergh|stein|stern|mann|baum|feld|shvili|dze|yan|ian|ides|akis|opoulos|oglu|oğlu|zadeh|ez"
    r"|inho|etti|elli|ini|ucci|eau|eaux|ault|ois|kov|chuk|čuk|ić|ák|ík|ý|á|son|escu|eanu|iewicz|ová)$"
)
NOT_BY_ENDING = words_of(
    "person reason season lesson version prison poison unison comparison even seven eleven open listen golden garden "
    "dozen chosen frozen citizen kitchen children men women woman man human german roman italian russian canadian "
    "australian brazilian christian indian asian librarian guardian vegetarian median radian persian egyptian iranian "
    "ukrainian hungarian victorian martian dev prev bad mini kiev plateau bureau chateau default result assault adult "
    "fault vault gini linguini martini bikini bini berg iceberg shen nova terranova supernova casanova cava java ski "
    "whisky risky sky turkoman walkman batman superman spiderman linkedin epsilon"
)
# Makes a name one of an organisation.
COMPANY = words_of(
    "inc inc. llc ltd ltd. limited corp corp. corporation company co co. plc gmbh ag sa s.a. srl bv b.v. nv oy ab as "
    "a/s pty llp lp group holdings holding partners associates bank insurance university college school institute "
    "academy hospital clinic foundation association society union agency bureau department ministry committee "
    "commission council club orchestra band team league church museum library theatre theater studios records media "
    "press news times post journal magazine tv radio airlines airways motors industries enterprises systems "
    "technologies technology solutions software services labs laboratories networks consulting capital ventures "
    "analytics pharma energy markets brothers sons research investments securities properties foods stores "
    "electronics pharmaceuticals logistics financial finance trust fund hotel hotels restaurant cafe café bar pub "
    "grill bakery airport station stadium arena cup prize award festival project theorem algorithm syndrome disease "
    "effect method international global worldwide incorporated gazette tribune herald weekly daily city court"
)
# A place on a map or an envelope.
STREET = words_of(
    "st st. street str str. strasse straße road rd rd. avenue ave ave. lane ln drive dr. boulevard blvd way court "
    "square squares place plaza terrace turnpike pike parkway highway hwy route pass crescent alley row walk gate "
    "hill park parks gateway point view heights grove bridge gade gata vej vägen väg utca út tér körút rue via viale "
    "vicolo piazza calle avenida rua praça travessa ulica ul. ulice náměstí weg platz allee gasse laan plein apt apt. "
    "apartment suite box p.o. po floor unit building block coves courts mews villas union cliff cliffs"
)
PLACE_BEFORE = re.compile(
    r"\b(?:liv(?:es?|ed|ing)\s+in|mov(?:ed|ing)\s+(?:here\s+)?(?:to|from)|born\s+in|flew\s+(?:to|from)|fly(?:ing)?\s+to"
    r"|(?:based|located|situated)\s+(?:in|near)|arriv(?:ed?|es|ing)\s+(?:in|at)|travel(?:s|l?ed|l?ing)?\s+to"
    r"|return(?:s|ed|ing)?\s+to|(?:grew|grown|growing)\s+up\s+in|originally\s+from|(?:city|town|village|state)\s+of"
    r"|visit(?:s|ed|ing)?|trip\s+to|vacation\s+in|holidays?\s+in)\s+$",
    re.IGNORECASE,
)
# Begins a sentence, stands in capitals in headings, and is no part of a name.
COMMON = words_of(
    "a an the this that these those here there where when what who whom whose why how which while if as at by for "
    "from in into of off on onto or nor and but so yet to up with without within under over after before between "
    "since until till than then thus also again once only just even still already always never ever often not no yes "
    "ok okay please thanks thank hello hi hey dear sincerely regards cheers greetings best kind sorry welcome "
    "congratulations good great nice bad i'm i'll i've i'd i’m i’ll i’ve i’d you're we're they're it's that's there's "
    "what's who's don't doesn't didn't can't couldn't won't isn't aren't wasn't haven't hasn't shouldn't wouldn't "
    "he's she's i me my mine we us our ours you your yours he him his she her hers it its they them their theirs one "
    "ones some any all both each every few many more most much several such other another same own am is are was were "
    "be been being do does did done have has had having can could will would shall should may might must need let "
    "lets let's make makes made get gets got give gives gave take takes took go goes went come comes came see sees "
    "saw say says said tell told ask asked asking call called calls know knew think thought want wanted use used "
    "using uses find found keep kept put set show shows look looks looking try tried tries work works worked working "
    "follow following contact send sent sending read write wrote written open close add added remove removed change "
    "changed update updated create created delete run start started stop stopped help helps check checked click enter "
    "submit select choose reply forward attach attached meet met meeting compared according because although though "
    "however therefore meanwhile moreover furthermore instead finally first second third last next previous new old "
    "name names first-name surname address phone email e-mail fax mobile cell home office date time day week month "
    "year today tomorrow yesterday monday tuesday wednesday thursday friday saturday sunday january february march "
    "april june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec user "
    "users username customer client patient account number id order invoice payment card bank subject cc bcc re fw "
    "fwd received message note notes title job role position company organization department manager director "
    "engineer developer teacher student doctor nurse lawyer question answer q total sum amount price city state "
    "country zip code street avenue road north south east west northern southern eastern western central english "
    "german french spanish italian dutch russian chinese japanese korean american british canadian european asian "
    "african indian billing shipping delivery website web page link file folder table figure chapter section appendix "
    "part step item list example chorus verse part-time full-time summary introduction background conclusion "
    "references mom dad mum sir madam everyone everybody someone nobody people guys team folks god christ lord ssn "
    "iban atm happy world hiring faithfully truly unassigned marketing sales support finance legal engineering "
    "operations security retro inbox archive pin asap faq dob cvv url api sql json xml html css http https pdf csv"
)
# What a model takes for people, places or companies and is software, hardware or jargon. Whole finds only.
JARGON = words_of(
    "kafka jenkins docker kubernetes grafana prometheus ansible terraform puppet chef vagrant consul nomad vault "
    "istio envoy linkerd helm argo argocd flux tekton spinnaker travis circleci gitlab github bitbucket git gitea "
    "gerrit jira confluence trello asana discord figma miro redis memcached postgres postgresql mysql mariadb sqlite "
    "mongo mongodb cassandra scylla couchbase couchdb dynamodb elasticsearch opensearch kibana logstash splunk "
    "datadog sentry newrelic pagerduty zabbix nagios rabbitmq activemq zeromq nats pulsar flink spark hadoop hive "
    "presto trino airflow dagster prefect luigi snowflake databricks bigquery redshift tableau looker metabase "
    "superset nginx apache caddy haproxy traefik tomcat jetty gunicorn uvicorn celery flask django fastapi rails "
    "laravel symfony spring springboot hibernate maven gradle ant bazel cmake make ninja meson conan cargo npm yarn "
    "pnpm webpack vite rollup babel eslint prettier jest mocha cypress selenium playwright puppeteer react angular "
    "vue svelte ember backbone jquery redux next nuxt remix astro gatsby tailwind bootstrap node deno bun typescript "
    "javascript python java kotlin scala clojure groovy perl php rust golang haskell erlang elixir fortran cobol lua "
    "swift dart matlab octave numpy scipy pandas polars pytorch tensorflow keras jax sklearn xgboost lightgbm "
    "huggingface langchain llama mistral gpt bard linux unix ubuntu debian fedora centos redhat alpine gentoo "
    "chromium vim emacs neovim vscode eclipse intellij pycharm xcode photoshop onenote sharepoint hubspot zendesk "
    "twilio sendgrid mailchimp drupal joomla magento markdown yaml toml json xml html css sass less latex bash zsh "
    "fish powershell tmux lambda aurora athena glue sagemaker bedrock azure aws gcp s3 ec2 eks ecs rds sns sqs vpc "
    "iam fargate heroku vercel netlify cloudflare akamai fastly firebase supabase pinecone weaviate milvus qdrant "
    "chroma neo4j neptune arango hudi iceberg delta parquet avro protobuf thrift grpc graphql openapi swagger postman "
    "insomnia oauth saml okta auth0 keycloak ldap kerberos openssl wireguard tailscale pi-hole raspberry arduino "
    "nvidia cuda intel amd arm qualcomm foo bar baz qux quux lorem ipsum todo fixme null none true false undefined "
    "nan boolean string integer float array object class exception error warning info debug trace stack heap queue "
    "thread mutex regex unicode ascii base64 uuid sha md5 rsa aes captcha recaptcha scrum kanban devops sre mlops llm "
    "rag nlp ocr tts asr agi ai ml ethernet usb hdmi flyway liquibase tokio lodash express lucene solr tantivy "
    "ripgrep wix calico cilium router parser reducer linter lint render checkout bucket semaphore coroutine "
    "coroutines middleware backend frontend dataframe junit pytest jupyter anaconda conda poetry ruff mypy gulp grunt "
    "vuex pinia rxjs zod prisma sequelize typeorm knex alembic sqlalchemy pydantic starlette asyncio qt gtk electron "
    "tauri flutter ionic cordova xamarin unity unreal godot blender autocad solidworks simulink verilog vhdl fpga "
    "gpio stm32 esp32 zigbee mqtt hbase druid clickhouse influxdb timescaledb cockroachdb oracle sybase teradata "
    "vertica sap hana workday servicenow jboss wildfly websphere weblogic"
)
PRODUCTS = JARGON | words_of(
    "siri cortana windows macos android ios safari chrome firefox opera edge word excel outlook powerpoint teams zoom "
    "slack notion salesforce paypal stripe shopify wordpress signal christmas easter halloween ramadan thanksgiving "
    "covid wikipedia google youtube facebook instagram twitter tiktok whatsapp telegram snapchat netflix spotify uber "
    "airbnb amazon microsoft apple openai anthropic playstation xbox nintendo iphone ipad macbook pixel galaxy kindle "
    "tesla bitcoin ethereum solana dogecoin litecoin monero tether chatgpt gemini copilot bluetooth wifi linkedin "
    "ebay walmart ikea starbucks visa mastercard amex hello"
)
# Words before a single capital that is no initial: "Vitamin C", "Plan B".
LETTERED = words_of(
    "vitamin plan type class series group section appendix hepatitis grade exhibit schedule part option phase tier "
    "model category team block unit level zone terminal gate figure table note building wing annex route line size "
    "form"
)
